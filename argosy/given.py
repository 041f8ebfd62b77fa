"""The values that a user gives a workflow's parameters: do they fit what it declares, and can they travel.

A value is data: it arrives at a step as it was given, or it is refused in one line before anything starts.
"""

import re
from collections.abc import Mapping

from argosy.errors import UsageError
from argosy.interface import Interface
from argosy.values import ValueType, shown

# Linux takes 128 KiB for one word of a command line; the rest is for the option's name.
MAX_BYTES = 127 * 1024
# What strconv.Quote, with which Argo writes a value into a template's JSON, makes of these is no JSON.
_NO_JSON_ESCAPE = re.compile(r"[\x01-\x07\x0b\x0e-\x1f\x7f]")
# Kubernetes puts a variable of the container, which may be a secret, in place of $(NAME), and $ for $$.
_EXPANDED = re.compile(r"\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\)")
# user:password@ in an address: a manifest keeps its parameters for everybody who may read workflows.
_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


def check_types(interface: Interface, given: Mapping[str, str]) -> None:
    """Raise UsageError for a value that a pipeline's own declaration does not allow."""
    for port in interface.inputs:
        if port.argo_name in given and isinstance(port.type, ValueType):
            try:
                port.type.decode(given[port.argo_name])
            except ValueError as error:
                raise UsageError(f"parameter '{port.argo_name}': {error}") from None


def check_values(given: Mapping[str, str]) -> None:
    """Raise UsageError for a value that no program can be given: too long, with a NUL, or no text."""
    for name, value in given.items():
        problem = _cannot_be_a_word(value)
        if problem:
            raise UsageError(f"parameter '{name}': {shown(value)} {problem}")


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


def _cannot_be_a_word(value: str) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "is not text in UTF-8"
    if size > MAX_BYTES:
        return f"has {size} bytes; at most {MAX_BYTES} fit on a step's command line: pass a file's address"
    return "holds a NUL character, which no program can be given" if "\0" in value else ""


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
