"""The values that a user gives a workflow's parameters: whether they fit and can travel, and how it has them.

A value is data: it arrives at a step as it was given, or it is refused in one line before anything starts.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from argosy.errors import UsageError
from argosy.manifest.parts import spec_of, with_spec
from argosy.step.interface import Interface, Port
from argosy.step.values import ValueType, shown, unfit
from argosy.text import did_you_mean

LOCAL_PARAMETERS = "argosy.dev/local-parameters"
"""Annotation of a manifest: the pipeline's own values for one machine."""

# Of these strconv.Quote, with which Argo writes a value into a template's JSON, makes no JSON.
_NO_JSON_ESCAPE = re.compile(r"[\x01-\x07\x0b\x0e-\x1f\x7f]")
# Kubernetes puts a variable of the container, which may be a secret, in place of $(NAME), and $ for $$.
_EXPANDED = re.compile(r"\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\)")
# user:password@ in an address: a manifest keeps its parameters for everybody who may read workflows.
_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_REFERENCE = re.compile(r"\{\{=?\s*(?:[^{}]*\W)?workflow\.parameters\.([\w-]+)")


class Unquoted(str):
    """A number or a boolean of a file of parameters, as it is written there.

    Attributes:
        meant: the same as Argo's reader has it: `true` for `yes`, `15` for `0o17`.
    """

    meant: str

    def __new__(cls, written: str, meant: str) -> "Unquoted":
        """Both forms of one scalar."""
        made = super().__new__(cls, written)
        made.meant = meant
        return made


def fitting(interface: Interface, given: Mapping[str, str]) -> dict[str, str]:
    """The values as a declaration takes them: texts as written, numbers and booleans as Argo reads them.

    A number or a boolean in Python's spelling (`True`, `007`, `1_000`) has that of a step's output, because
    conditions compare texts.

    Raises:
        UsageError: the declaration does not allow a value.
    """
    ports = {port.argo_name: port for port in interface.inputs}
    return {name: _fitting(ports[name], value) if name in ports else value for name, value in given.items()}


def as_written(given: Mapping[str, str]) -> dict[str, str]:
    """The values where nothing declares their types: every one as it is written."""
    return {name: str(value) for name, value in given.items()}


def _fitting(port: Port, value: str) -> str:
    if not isinstance(port.type, ValueType):
        return str(value)
    if isinstance(value, Unquoted) and port.type.base in (bool, int, float):
        value = value.meant
    try:
        return port.type.plain(str(value))
    except ValueError as error:
        raise UsageError(f"parameter '{port.argo_name}': {error}") from None


def check_values(given: Mapping[str, str]) -> None:
    """Raise UsageError for a value that no program can be given: too long, with a NUL, or no text."""
    for name, value in given.items():
        problem = unfit(value)
        if problem:
            raise UsageError(f"parameter '{name}': {shown(value)} {problem}")


def without_password(value: str) -> str:
    """A text in which each password of an address is `***`."""
    return _PASSWORD.sub("***", value)


def check_for_cluster(given: Mapping[str, str]) -> None:
    """As `check_values`, and for a value with a password, or that would be changed on its way to the step.

    Argo replaces `{{...}}` also in what it has put in place of a tag before; Kubernetes replaces `$(NAME)`.
    """
    check_values(given)
    for name, value in given.items():
        if _PASSWORD.search(value):
            raise UsageError(
                f"parameter '{name}': {shown(_PASSWORD.sub('***', value))} holds a password, which the "
                "workflow would show to all: take it from a Secret (for MLflow: MLFLOW_TRACKING_PASSWORD)"
            )
        problem = _would_change(value)
        if problem:
            raise UsageError(f"parameter '{name}': {shown(value)} {problem}")


def _would_change(value: str) -> str:
    if "{{" in value:
        return "holds '{{', after which Argo looks for a tag: it would not arrive as it is"
    if found := _EXPANDED.search(value):
        return f"holds '{found[0]}', which Kubernetes replaces: it would not arrive as it is"
    # Beyond the first 65536 characters Argo escapes those that cannot be seen in a way that JSON lacks.
    bad = _NO_JSON_ESCAPE.search(value) or next(
        (c for c in value if c > "\uffff" and not c.isprintable()), None
    )
    return "holds a control character that Argo cannot put into a manifest" if bad else ""


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
    """The manifest with these values for its parameters.

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
            _set_value(declared[name], value)
        elif name not in elsewhere:
            raise UsageError(f"unknown parameter '{name}'{did_you_mean(name, declared)}")
    if complete and not by_template:
        _check_complete(declared.values())
    if not declared:
        return dict(manifest)
    return with_spec(manifest, _with_arguments(spec, {**arguments, "parameters": list(declared.values())}))


def _check_complete(parameters: Iterable[Mapping[str, Any]]) -> None:
    for parameter in parameters:
        name = parameter["name"]
        if "value" not in parameter and "valueFrom" not in parameter:
            raise UsageError(f"parameter '{name}' has no value; give it with -p {name}=VALUE")


def _set_value(parameter: dict[str, Any], value: str) -> None:
    allowed = [str(v) for v in parameter.get("enum") or ()]
    if allowed and value not in allowed:
        raise UsageError(f"parameter '{parameter['name']}': {shown(value)} is none of {', '.join(allowed)}")
    parameter.pop("valueFrom", None)
    parameter["value"] = value


def _references(spec: Mapping[str, Any]) -> list[str]:
    return references_in(json.dumps({k: v for k, v in spec.items() if k != "arguments"}, default=str))


def _with_arguments(spec: Mapping[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The spec with these arguments, which stand before the long list of templates."""
    rest = {k: v for k, v in spec.items() if k not in ("arguments", "templates")}
    templates = {"templates": spec["templates"]} if "templates" in spec else {}
    return {**rest, "arguments": arguments, **templates}
