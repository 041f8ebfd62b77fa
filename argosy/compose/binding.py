"""From a component's call in a pipeline to the arguments of its task."""

from dataclasses import dataclass, field
from typing import Any

from argosy.artifacts import ArtifactKind
from argosy.compose.references import OutputRef, ParameterRef, TaskHandle, couler_output_text, tasks_in
from argosy.errors import ComposeError
from argosy.interface import Interface, Port
from argosy.text import did_you_mean
from argosy.values import ValueType


@dataclass
class Arguments:
    """What a task is given, and the tasks that this data comes from."""

    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    needs: dict[str, None] = field(default_factory=dict)


def bind(interface: Interface, args: tuple[Any, ...], kwargs: dict[str, Any], site: str) -> Arguments:
    """The arguments of one call.

    Raises:
        ComposeError: as Python would for a wrong call, naming the user's line `site`.
    """
    given = _name_arguments(interface, args, kwargs, site)
    arguments = Arguments()
    for port in interface.inputs:
        if port.name not in given:
            if port.required:
                raise ComposeError(f"{site}: {interface.name}() misses the input '{port.name}' ({port.type})")
            continue
        text = _text(interface, port, given[port.name], site)
        (arguments.artifacts if port.is_artifact else arguments.parameters)[port.argo_name] = text
        arguments.needs.update(dict.fromkeys(tasks_in(text)))
    return arguments


def _name_arguments(
    interface: Interface, args: tuple[Any, ...], kwargs: dict[str, Any], site: str
) -> dict[str, Any]:
    names = [p.name for p in interface.inputs]
    if len(args) > len(names):
        raise ComposeError(f"{site}: {interface.name}() takes {len(names)} inputs, {len(args)} were given")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise ComposeError(f"{site}: {interface.name}() got an undeclared input '{name}'{hint}")
        if name in given:
            raise ComposeError(f"{site}: {interface.name}() got two values for the input '{name}'")
        given[name] = value
    return given


def _text(interface: Interface, port: Port, value: Any, site: str) -> str:
    if isinstance(value, TaskHandle):
        value = value[0]  # as in Couler, a step stands for its first output
    if isinstance(value, (OutputRef, ParameterRef)):
        _check_types(interface, port, value, site)
        return str(value)
    tag = couler_output_text(value)
    if tag is not None:
        if (".outputs.artifacts." in tag) != port.is_artifact:
            raise _mismatch(interface, port, f"the output {tag}", site)
        return tag
    if isinstance(value, str) and "{{" in value and not port.is_artifact:
        return str(value)
    if isinstance(port.type, ArtifactKind):
        raise _mismatch(interface, port, repr(value), site)
    try:
        return port.type.encode(value)
    except TypeError:
        raise _mismatch(interface, port, repr(value), site) from None


def _check_types(interface: Interface, port: Port, value: OutputRef | ParameterRef, site: str) -> None:
    source, target = value.port.type, port.type
    if isinstance(source, ValueType):
        fits = isinstance(target, ValueType) and source.feeds(target)
    else:
        fits = isinstance(target, ArtifactKind) and source.feeds(target)
    if not fits:
        what = repr(value) if isinstance(value, OutputRef) else f"parameter '{value.port.name}'"
        raise _mismatch(interface, port, f"{what} ({source})", site)


def _mismatch(interface: Interface, port: Port, what: str, site: str) -> ComposeError:
    return ComposeError(
        f"{site}: {interface.name}(): the input '{port.name}' wants {port.type.expectation}, got {what}"
    )
