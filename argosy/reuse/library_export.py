"""`argosy export library`: components as one WorkflowTemplate, for others to call by `templateRef`."""

from collections.abc import Sequence
from typing import Any, Literal

from argosy.compose.compiler import API_VERSION
from argosy.compose.settings import Settings
from argosy.declare.component import Component
from argosy.declare.template import render_template
from argosy.errors import UsageError
from argosy.manifest.emit import to_yaml
from argosy.reuse.typename import type_to_data
from argosy.step.interface import Interface, Port
from argosy.step.values import ValueType

# What YAML does not say of a template: types, summaries. `argosy.load_library` reads it.
INTERFACES = "argosy.dev/interfaces"

LibraryKind = Literal["WorkflowTemplate", "ClusterWorkflowTemplate"]


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
