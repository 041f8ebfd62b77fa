"""Components as one WorkflowTemplate, for others to call by `templateRef`: written, and read back.

`argosy export library` writes one. `load_library` reads the templates of one, or a whole pipeline in it, as
components to call.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from argosy.compose.compiler import API_VERSION
from argosy.compose.settings import Settings
from argosy.declare.component import Component
from argosy.declare.names import python_name
from argosy.declare.reference import TemplateRef
from argosy.declare.referenced import ReferencedComponent, refusal
from argosy.declare.template import render_template
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml
from argosy.manifest.scalars import as_text
from argosy.manifest.tree import Map
from argosy.reuse.document import Manifest, Source
from argosy.reuse.typename import type_from_data, type_to_data
from argosy.step.absent import Absent, is_loading
from argosy.step.interface import REQUIRED, ArtifactKind, Interface, Port, argo_name
from argosy.step.values import ValueType
from argosy.text import did_you_mean

# YAML does not say a template's types and summaries. `argosy.load_library` reads them here.
INTERFACES = "argosy.dev/interfaces"
LibraryKind = Literal["WorkflowTemplate", "ClusterWorkflowTemplate"]
KINDS = ("WorkflowTemplate", "ClusterWorkflowTemplate")
_ARTIFACTS = {"file": "file", "directory": "directory", "artifact": "any"}


def library_manifest(
    components: Sequence[Component[Any, Any]],
    name: str,
    kind: LibraryKind = "WorkflowTemplate",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """The manifest: one template a component, with no entrypoint.

    Raises:
        UsageError: there is no component, two have the same name, or one is itself a `templateRef`.
    """
    settings = settings or Settings()
    if not components:
        raise UsageError(f"the library '{name}' has no components")
    metadata: dict[str, Any] = {"name": name}
    if settings.namespace and kind == "WorkflowTemplate":
        metadata["namespace"] = settings.namespace
    interfaces = {c.template_name: _described(c.interface) for c in components}
    metadata["labels"] = {"app.kubernetes.io/managed-by": "argosy"}
    metadata["annotations"] = {INTERFACES: to_yaml(interfaces)}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata,
        "spec": settings.under({"templates": _templates(components)}),
    }


def _templates(components: Sequence[Component[Any, Any]]) -> list[dict[str, Any]]:
    rendered: dict[str, dict[str, Any]] = {}
    for component in components:
        name = component.template_name
        if component.template_ref is not None:
            raise UsageError(f"{name} belongs to the library '{component.template_ref.workflow_template}'")
        if name in rendered:
            raise UsageError(f"two components are called '{name}'; a library has one template of a name")
        rendered[name] = _with_descriptions(component, render_template(component, name))
    return list(rendered.values())


def _with_descriptions(component: Component[Any, Any], template: dict[str, Any]) -> dict[str, Any]:
    told = {p.argo_name: p.description for p in component.interface.inputs if p.description}
    for parameter in template.get("inputs", {}).get("parameters", ()):
        if parameter["name"] in told:
            parameter["description"] = told[parameter["name"]]
    return template


def _described(interface: Interface) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": interface.summary}
    for key, ports in (("inputs", interface.inputs), ("outputs", interface.outputs)):
        if ports:
            found[key] = {p.argo_name: port_type(p) for p in ports}
    return found


def port_type(port: Port) -> Any:
    """The type of a port as plain data; an artifact's is its kind."""
    return type_to_data(port.type) if isinstance(port.type, ValueType) else port.type.noun


class Library:
    """Components of one WorkflowTemplate, as attributes: `library.promote(run_id=...)`.

    Attributes:
        name: the WorkflowTemplate's, in the cluster.
    """

    def __init__(self, name: str, components: dict[str, Component[..., Any]]) -> None:
        self.name, self._components = name, components

    def __getattr__(self, name: str) -> Component[..., Any]:
        if name.startswith("_") or name not in self._components:
            hint = did_you_mean(name, vars(self).get("_components", ()))
            raise AttributeError(f"library '{vars(self).get('name')}' has no component '{name}'{hint}")
        return self._components[name]

    def __iter__(self) -> Iterator[Component[..., Any]]:
        return iter(self._components.values())

    def __repr__(self) -> str:
        return f"<library {self.name}: {', '.join(self._components)}>"


def load_library(source: str | Path) -> Library:
    """The components of a WorkflowTemplate's file; their tasks compile to `templateRef`.

    Types are those that `argosy export library` has noted; of a template from elsewhere, parameters are text.
    A template that is the entrypoint is a step called as the WorkflowTemplate itself. A relative path is one
    from the file that calls this, else from the current folder. In the container of a step of the same file
    it is a stand-in: only who composes reads the file.

    Raises:
        DeclarationError: the file cannot be read, or is no (Cluster)WorkflowTemplate.
    """
    if is_loading():
        return cast(Library, Absent(f"argosy.load_library({str(source)!r})"))
    document = Manifest(source)
    if len(document.documents) != 1:
        raise document.error(f"holds {len(document.documents)} documents; one WorkflowTemplate is wanted")
    root = document.documents[0]
    if root.get("kind") not in KINDS:
        raise document.error(f"kind {root.get('kind')!r} is not one of {', '.join(KINDS)}", root.line)
    metadata, spec = document.mapping(root, "metadata"), document.mapping(root, "spec")
    name = metadata.get("name")
    if not isinstance(name, str):
        raise document.error("has no metadata.name", metadata.line)
    reader = _Reader(document, name, root["kind"] == "ClusterWorkflowTemplate", _noted(document, metadata))
    entrypoint = spec.get("entrypoint")
    found = {}
    for template in document.mappings(spec, "templates"):
        component = reader.component(template, entrypoint)
        found[python_name(str(template.get("name")))] = component
    return Library(name, found)


def _noted(source: Source, metadata: Map) -> dict[str, Any]:
    text = source.mapping(metadata, "annotations").get(INTERFACES)
    try:
        noted = yaml.safe_load(text) if isinstance(text, str) else {}
    except yaml.YAMLError:
        noted = None
    if not isinstance(noted, dict):
        raise source.error(f"the annotation {INTERFACES} is not a mapping", metadata.line)
    return noted


class _Reader:
    """Reads templates as interfaces."""

    def __init__(self, source: Source, library: str, cluster: bool, noted: dict[str, Any]) -> None:
        self.source, self.library, self.cluster, self.noted = source, library, cluster, noted

    def component(self, template: Map, entrypoint: Any) -> Component[..., Any]:
        """The component that calls a template."""
        name = template.get("name")
        if not isinstance(name, str):
            raise self.source.error("a template has no name", template.line)
        noted = self.noted.get(name)
        noted = noted if isinstance(noted, dict) else {}
        inputs = self._ports(template, "inputs", noted)
        outputs = self._ports(template, "outputs", noted)
        step = self.library if name == entrypoint else name
        interface = Interface(step, str(noted.get("summary") or ""), "", inputs, outputs)
        reference = TemplateRef(self.library, name, self.cluster)
        return ReferencedComponent(refusal(step, reference), interface, reference)

    def _ports(self, template: Map, way: str, noted: dict[str, Any]) -> tuple[Port, ...]:
        section = self.source.mapping(template, way)
        types = noted.get(way)
        types = types if isinstance(types, dict) else {}
        ports = [
            make(entry, types.get(entry.get("name")), way == "inputs")
            for key, make in (("parameters", self._parameter), ("artifacts", self._artifact))
            for entry in self.source.mappings(section, key)
        ]
        order = list(types)
        return tuple(sorted(ports, key=lambda p: order.index(p.argo_name) if p.argo_name in order else 0))

    def _parameter(self, entry: Map, noted: Any, is_input: bool) -> Port:
        name, enum = self._name(entry), entry.get("enum")
        kind = (
            ValueType(str, choices=tuple(map(as_text, enum)))
            if isinstance(enum, list) and enum
            else ValueType(str)
        )
        if noted is not None:
            try:
                kind = type_from_data(noted)
            except ValueError as error:
                raise self.source.error(f"parameter '{name}': {error}", entry.line) from None
        return _port(name, kind, entry, _default(kind, entry) if is_input else REQUIRED)

    def _artifact(self, entry: Map, noted: Any, is_input: bool) -> Port:
        kind = ArtifactKind(_ARTIFACTS.get(noted, "any"), optional=entry.get("optional") is True)  # type: ignore[arg-type]
        own = bool(entry.get("optional")) or bool(set(entry) - {"name", "path", "mode", "archive"})
        return _port(self._name(entry), kind, entry, None if is_input and own else REQUIRED)

    def _name(self, entry: Map) -> str:
        if not isinstance(entry.get("name"), str):
            raise self.source.error("a parameter or artifact has no name", entry.line)
        return str(entry["name"])


def _default(kind: ValueType, entry: Map) -> Any:
    """The template's own value; where it is not one of the type (a reference, say), None."""
    text = entry.get("value", entry.get("default"))
    if text is None:
        return None if "valueFrom" in entry else REQUIRED
    try:
        return kind.decode(as_text(text))
    except ValueError:
        return None


def _port(name: str, kind: ValueType | ArtifactKind, entry: Map, default: Any) -> Port:
    told, ours = str(entry.get("description") or ""), python_name(name)
    yaml_name = "" if argo_name(ours) == name else name
    return Port(ours, kind, told, default, file_name=name, yaml_name=yaml_name)
