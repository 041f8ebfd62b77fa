"""The values that a user gives a workflow's parameters: do they fit what it declares, and can they travel.

A value is data: it arrives at a step as it was given, or it is refused in one line before anything starts.
"""

import re
from collections.abc import Mapping

from argosy.errors import UsageError
from argosy.step.interface import Interface, Port
from argosy.step.values import ValueType, shown, unfit

LOCAL_PARAMETERS = "argosy.dev/local-parameters"
"""Annotation of a manifest: the pipeline's own values for one machine."""

# What strconv.Quote, with which Argo writes a value into a template's JSON, makes of these is no JSON.
_NO_JSON_ESCAPE = re.compile(r"[\x01-\x07\x0b\x0e-\x1f\x7f]")
# Kubernetes puts a variable of the container, which may be a secret, in place of $(NAME), and $ for $$.
_EXPANDED = re.compile(r"\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\)")
# user:password@ in an address: a manifest keeps its parameters for everybody who may read workflows.
_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


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
        port.type.decode(value)
    except ValueError as error:
        raise UsageError(f"parameter '{port.argo_name}': {error}") from None
    return str(value)


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
