"""The parts of a manifest of any kind: a CronWorkflow has its workflow's spec one level further down.

A manifest may be wrong in any way: a part that is not as Argo has it counts as not there.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_INNER = "workflowSpec"


def spec_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow's spec itself, not a copy; an empty one where there is none."""
    outer = manifest.get("spec")
    spec = outer.get(_INNER, outer) if isinstance(outer, dict) else None
    return spec if isinstance(spec, dict) else {}


def with_spec(manifest: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with another workflow spec."""
    outer = manifest.get("spec")
    if isinstance(outer, dict) and _INNER in outer:
        spec = {**outer, _INNER: spec}
    return {**manifest, "spec": spec}


def title_of(manifest: Mapping[str, Any]) -> str:
    """The name of what a manifest was made from: its own, or the beginning of those that it is given."""
    metadata = manifest.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    return str(found.get("name") or str(found.get("generateName") or "workflow").removesuffix("-"))


def parameters_of(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The workflow's own parameters that have a name."""
    arguments = spec_of(manifest).get("arguments")
    found = arguments.get("parameters") if isinstance(arguments, dict) else None
    return [p for p in found if isinstance(p, dict) and "name" in p] if isinstance(found, list) else []


def templates_in(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The templates, in order."""
    found = spec_of(manifest).get("templates")
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def calls_in(template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The tasks of a DAG or the steps of its groups."""
    yield from (template.get("dag") or {}).get("tasks") or ()
    for group in template.get("steps") or ():
        yield from group if isinstance(group, list) else (group,)


def with_calls(template: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The template with each of its tasks or steps changed."""
    out = {**template}
    if isinstance(template.get("dag"), Mapping) and template["dag"].get("tasks"):
        out["dag"] = {**template["dag"], "tasks": [change(task) for task in template["dag"]["tasks"]]}
    if isinstance(template.get("steps"), list):
        groups = template["steps"]
        out["steps"] = [[change(s) for s in g] if isinstance(g, list) else change(g) for g in groups]
    return out


def with_templates(manifest: Mapping[str, Any], templates: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest with other templates."""
    return with_spec(manifest, {**spec_of(manifest), "templates": templates})
