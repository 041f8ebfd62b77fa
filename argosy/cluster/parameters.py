"""The user's values for a workflow's parameters."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from argosy.errors import UsageError
from argosy.manifest.parts import spec_of, with_spec
from argosy.step.values import shown
from argosy.text import did_you_mean

_REFERENCE = re.compile(r"\{\{=?\s*(?:[^{}]*\W)?workflow\.parameters\.([\w-]+)")


def references_in(text: str) -> list[str]:
    """The parameters that a text refers to as `{{workflow.parameters.NAME}}`."""
    return list(dict.fromkeys(_REFERENCE.findall(text)))


def with_parameters(
    manifest: Mapping[str, Any],
    given: Mapping[str, str],
    *,
    complete: bool = True,
    elsewhere: Collection[str] = (),
) -> dict[str, Any]:
    """The manifest with these values.

    Args:
        manifest: it declares parameters, refers to them as `{{workflow.parameters.NAME}}`, or takes them
            from a template in the cluster.
        given: values by name.
        complete: whether every parameter must have a value then.
        elsewhere: names that other workflows of the same program have.

    Raises:
        UsageError: a name that the workflow does not have, a value that it does not allow, or none.
    """
    spec = spec_of(manifest)
    arguments = spec.get("arguments") or {}
    declared = {p["name"]: dict(p) for p in arguments.get("parameters") or ()}
    by_template = "workflowTemplateRef" in spec
    for name in [*_references(spec), *(given if by_template else ())]:
        declared.setdefault(name, {"name": name})
    for name, value in given.items():
        if name in declared:
            _set(declared[name], value)
        elif name not in elsewhere:
            raise UsageError(f"unknown parameter '{name}'{did_you_mean(name, declared)}")
    if complete and not by_template:
        _check_complete(declared.values())
    if not declared:
        return dict(manifest)
    return with_spec(manifest, _with(spec, {**arguments, "parameters": list(declared.values())}))


def _check_complete(parameters: Iterable[Mapping[str, Any]]) -> None:
    for parameter in parameters:
        name = parameter["name"]
        if "value" not in parameter and "valueFrom" not in parameter:
            raise UsageError(f"parameter '{name}' has no value; give it with -p {name}=VALUE")


def _set(parameter: dict[str, Any], value: str) -> None:
    allowed = [str(v) for v in parameter.get("enum") or ()]
    if allowed and value not in allowed:
        raise UsageError(f"parameter '{parameter['name']}': {shown(value)} is none of {', '.join(allowed)}")
    parameter.pop("valueFrom", None)
    parameter["value"] = value


def _references(spec: Mapping[str, Any]) -> list[str]:
    return references_in(json.dumps({k: v for k, v in spec.items() if k != "arguments"}, default=str))


def _with(spec: Mapping[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The spec with these arguments, which stand before the long list of templates."""
    rest = {k: v for k, v in spec.items() if k not in ("arguments", "templates")}
    templates = {"templates": spec["templates"]} if "templates" in spec else {}
    return {**rest, "arguments": arguments, **templates}
