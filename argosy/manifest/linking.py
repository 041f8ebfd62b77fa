"""Several documents to one: what a workflow takes from other objects is written into it.

Templates that it names by `templateRef` are copied under `OBJECT/TEMPLATE`, a `workflowTemplateRef` is
replaced by what it names, and a parameter from a ConfigMap gets its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from argosy.declare.merge import merged, plain
from argosy.errors import ManifestError
from argosy.manifest.parts import spec_of, with_calls, with_spec
from argosy.text import did_you_mean

Raw = Mapping[str, Any]
Lookup = Callable[[str, str], "str | None"]

REFERENCED = ("WorkflowTemplate", "ClusterWorkflowTemplate")


def main_of(documents: Sequence[Raw], where: str) -> Raw:
    """The one of a file's objects that is to be run: its only Workflow, else its only runnable object.

    Raises ManifestError where there is none, or where it is not clear which.
    """
    for kinds in (("Workflow",), ("CronWorkflow",), REFERENCED):
        found = [document for document in documents if document.get("kind") in kinds]
        if len(found) > 1:
            names = ", ".join(map(_called, found))
            raise ManifestError(
                f"{where}: holds {len(found)} of kind {kinds[0]} ({names}); give one file for each"
            )
        if found:
            return found[0]
    kinds_there = ", ".join(sorted({str(document.get("kind")) for document in documents})) or "nothing"
    raise ManifestError(f"{where}: holds {kinds_there}; one workflow is wanted")


def _called(document: Raw) -> str:
    """An object in a message: by its name, or by the beginning of those that it is given."""
    begins = (document.get("metadata") or {}).get("generateName")
    return name_of(document) or (f"generateName {begins}" if begins else "one without a name")


def name_of(document: Raw) -> str:
    """An object's name, or an empty text."""
    return str((document.get("metadata") or {}).get("name") or "")


def link(manifest: Raw, others: Sequence[Raw]) -> dict[str, Any]:
    """The manifest with all that it takes from other objects. Raises ManifestError for what is not there."""
    library, spec = _Library(others), spec_of(manifest)
    linked = with_spec(manifest, library.linked(library.joined(spec))) if spec else manifest
    return plain(linked)  # type: ignore[no-any-return]


def with_values(manifest: Raw, lookup: Lookup, given: Mapping[str, str]) -> dict[str, Any]:
    """The manifest with the parameters that a ConfigMap holds; `lookup(name, key)` tells them.

    Raises ManifestError for a key that is not there, of a parameter that has no default and is not `given`.
    """
    spec = spec_of(manifest)
    if not spec:
        return plain(manifest)  # type: ignore[no-any-return]
    filled = {**spec}
    if isinstance(spec.get("arguments"), Mapping):
        filled["arguments"] = _filled(spec["arguments"], lookup, given, "spec.arguments")
    if isinstance(spec.get("templates"), list):
        filled["templates"] = [_with_inputs(template, lookup) for template in spec["templates"]]
    return plain(with_spec(manifest, filled))  # type: ignore[no-any-return]


def _with_inputs(template: Any, lookup: Lookup) -> Any:
    if not isinstance(template, Mapping) or not isinstance(template.get("inputs"), Mapping):
        return template
    where = f"template '{template.get('name')}' inputs"
    return {**template, "inputs": _filled(template["inputs"], lookup, {}, where)}


def _filled(holder: Raw, lookup: Lookup, given: Mapping[str, str], where: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if not isinstance(parameters, list):
        return {**holder}
    return {**holder, "parameters": [_parameter(item, lookup, given, where) for item in parameters]}


def _parameter(item: Any, lookup: Lookup, given: Mapping[str, str], where: str) -> Any:
    source = item.get("valueFrom") if isinstance(item, Mapping) else None
    reference = source.get("configMapKeyRef") if isinstance(source, Mapping) else None
    if not isinstance(reference, Mapping) or not isinstance(source, Mapping):
        return item
    name, key = str(reference.get("name")), str(reference.get("key"))
    value = lookup(name, key)
    value = source.get("default") if value is None else value
    if value is None and item.get("name") not in given:
        raise ManifestError(
            f"{where}: '{item.get('name')}' is the key '{key}' of the ConfigMap '{name}', "
            "which is in no file; give its file with -f, or a default"
        )
    rest = {field: inside for field, inside in item.items() if field != "valueFrom"}
    return rest if value is None else {**rest, "value": value}


class _Library:
    """Objects whose templates others may name."""

    def __init__(self, documents: Sequence[Raw]) -> None:
        self._objects = {
            (document["kind"] == "ClusterWorkflowTemplate", name_of(document)): document
            for document in documents
            if document.get("kind") in REFERENCED
        }
        self._copied: dict[str, dict[str, Any]] = {}

    def joined(self, spec: Raw) -> Raw:
        """A spec laid over the one that its `workflowTemplateRef` names."""
        reference = spec.get("workflowTemplateRef")
        if not reference:
            return spec
        base = self._object(reference, "spec.workflowTemplateRef").get("spec") or {}
        own = {field: inside for field, inside in spec.items() if field != "workflowTemplateRef"}
        joined = merged(self.joined(base), own)
        joined["arguments"] = _arguments(base.get("arguments"), own.get("arguments"))
        return joined

    def linked(self, spec: Raw) -> dict[str, Any]:
        """A spec with copies of the templates that it names of others."""
        out = {**spec}
        if isinstance(spec.get("hooks"), Mapping):
            out["hooks"] = {
                name: self._reference(hook, "", f"hook '{name}'") for name, hook in spec["hooks"].items()
            }
        own = [self._template(template, "") for template in spec.get("templates") or []]
        if own or self._copied:
            out["templates"] = [*own, *self._copied.values()]
        return out

    def _template(self, template: Any, owner: str) -> Any:
        """A template whose calls name copies; of another object's (`owner`), also those beside it."""
        if not isinstance(template, Mapping):
            return template
        where = f"template '{template.get('name')}'"
        return with_calls(template, lambda call: self._call(call, owner, where))

    def _call(self, call: Any, owner: str, where: str) -> Any:
        if not isinstance(call, Mapping):
            return call
        where = f"{where}, '{call.get('name')}'"
        out = self._reference(call, owner, where)
        if isinstance(call.get("inline"), Mapping):
            out["inline"] = self._template(call["inline"], owner)
        if isinstance(call.get("hooks"), Mapping):
            hooks = call["hooks"].items()
            out["hooks"] = {
                name: self._reference(hook, owner, f"{where}, hook '{name}'") for name, hook in hooks
            }
        if owner and isinstance(call.get("onExit"), str):
            out["onExit"] = self._copy(owner, call["onExit"], where)
        return out

    def _reference(self, holder: Any, owner: str, where: str) -> Any:
        """A call or a hook that names a template of this manifest only."""
        if not isinstance(holder, Mapping):
            return holder
        out = {**holder}
        reference = out.pop("templateRef", None)
        if reference:
            source = self._object(reference, f"{where}, templateRef")
            kind = "cluster:" if reference.get("clusterScope") else ""
            out["template"] = self._copy(f"{kind}{name_of(source)}", str(reference.get("template")), where)
        elif owner and isinstance(out.get("template"), str):
            out["template"] = self._copy(owner, out["template"], where)
        return out

    def _copy(self, owner: str, template: str, where: str) -> str:
        name = f"{owner}/{template}"
        if name in self._copied:
            return name
        cluster, _, plain_name = owner.rpartition(":")
        source = self._objects[(bool(cluster), plain_name)]
        found = {item.get("name"): item for item in (source.get("spec") or {}).get("templates") or []}
        if template not in found:
            known = [str(item) for item in found]
            raise ManifestError(
                f"{where}: '{plain_name}' has no template '{template}'{did_you_mean(template, known)}"
            )
        self._copied[name] = {}  # a template may name itself
        self._copied[name] = {**self._template(found[template], owner), "name": name}
        return name

    def _object(self, reference: Raw, where: str) -> Raw:
        name, cluster = str(reference.get("name")), bool(reference.get("clusterScope"))
        found = self._objects.get((cluster, name))
        if found is None:
            kind = "ClusterWorkflowTemplate" if cluster else "WorkflowTemplate"
            known = [known_name for scope, known_name in self._objects if scope is cluster]
            raise ManifestError(
                f"{where}: there is no {kind} '{name}' in the files given{did_you_mean(name, known)}; "
                "give its file with -f"
            )
        return found


def _arguments(base: Any, own: Any) -> dict[str, Any]:
    """Arguments of both, by name; of two for one name, the workflow's own."""
    out: dict[str, Any] = {}
    for field in ("parameters", "artifacts"):
        found = {item["name"]: item for item in _named(base, field)}
        for item in _named(own, field):
            found[item["name"]] = {**found.get(item["name"], {}), **item}
        if found:
            out[field] = list(found.values())
    return out


def _named(arguments: Any, field: str) -> Iterator[Raw]:
    for item in (arguments or {}).get(field) or []:
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            yield item
