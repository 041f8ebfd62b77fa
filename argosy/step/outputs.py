"""Outputs of a step: how they are declared, checked, and put in their places."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from typing import Any, Mapping, NamedTuple, get_origin  # noqa: UP035 - Python 3.9

from argosy.step.errors import StepError, UsageError
from argosy.step.files import copy_to, refuse_occupied, write_text
from argosy.step.interface import ArtifactKind, Interface, Port
from argosy.step.values import ValueType, shown, unfit

_BEGINNING = 30


def Outputs(**fields: Any) -> Any:
    """A NamedTuple with these fields: a type, `-> Outputs(score=float)`, or a value, `Outputs(score=0.5)`.

    A type checker cannot look into it; where types are checked, declare `class Result(NamedTuple)`.
    """
    if all(map(_is_type, fields.values())):
        return NamedTuple("Outputs", list(fields.items()))
    return namedtuple("Outputs", fields)(**fields)


def _is_type(value: Any) -> bool:
    """Whether it is an annotation and no value: a class, `list[int]`, `File | None`, `Any`."""
    return isinstance(value, type) or value is Any or get_origin(value) is not None


def check_places(interface: Interface, targets: Mapping[str, Path | None]) -> None:
    """Raise UsageError for a place whose content an output would be mixed with."""
    taken: dict[Path, str] = {}
    for port in interface.outputs:
        target = targets[port.name]
        if target is None:
            continue
        option = f"--output-{port.argo_name}"
        try:
            refuse_occupied(target)
        except OSError as error:
            raise UsageError(f"{interface.name}: {option}: {error.strerror}: '{target}'") from None
        place = target.resolve()
        if place.exists() and not (place.is_file() or place.is_dir()):
            continue  # /dev/null takes what comes
        for other, name in taken.items():
            if place == other or other in place.parents or place in other.parents:
                raise UsageError(
                    f"{interface.name}: {option} and {name} name one place, or one inside of the other: "
                    f"'{target}'"
                )
        taken[place] = option


def hand_over(interface: Interface, result: Any, targets: Mapping[str, Path | None]) -> dict[str, str]:
    """Check every output, then put each into its place, if it has one; returns them as shown to a person.

    Nothing outside of the places is changed: what a step returns as a file or folder is copied.

    Raises:
        StepError: the step returned something else than it declares, and nothing was written; or an output
            cannot be written.
    """
    values = _by_name(interface, result)
    checked = {port: _checked(interface, port, values[port.name]) for port in interface.outputs}
    for port, content in checked.items():
        target = targets[port.name]
        if target is None or content is None:
            continue
        try:
            if isinstance(content, Path):
                copy_to(content, target)
            else:
                # Argo takes one newline off the end of a parameter's file; one of the value's must not be it.
                write_text(target, content + "\n" * content.endswith("\n"))
        except OSError as error:
            reason = f"{error.strerror or error} ('{error.filename or target}')"
            raise _problem(interface, port, f"cannot be put at '{target}': {reason}") from None
    return {port.argo_name: _as_shown(port, content) for port, content in checked.items()}


def _as_shown(port: Port, content: str | Path | None) -> str:
    if content is None or (content == "" and port.type.optional):
        return "none"
    if isinstance(content, Path) or (isinstance(port.type, ValueType) and port.type.base is not str):
        return shown(content, str)
    return shown(content)


def _problem(interface: Interface, port: Port, problem: str) -> StepError:
    return StepError(f"{interface.name}: output '{port.argo_name}': {problem}")


def _by_name(interface: Interface, result: Any) -> dict[str, Any]:
    names = [port.name for port in interface.outputs]
    if not names and result is not None:
        raise StepError(f"{interface.name}: returned {shown(result)}, but declares '-> None'")
    if interface.bare:
        return {names[0]: result}
    told = ", ".join(f"'{port.argo_name}'" for port in interface.outputs)
    if names and result is None:
        raise StepError(f"{interface.name}: returned nothing, but declares the outputs {told}")
    is_the_type = isinstance(result, type) and hasattr(result, "_fields")
    if is_the_type or not all(hasattr(result, name) for name in names):
        rewrite = ", ".join(f"{name}=..." for name in names)
        raise StepError(
            f"{interface.name}: returned {shown(result)}, but declares the outputs {told}: "
            f"return {interface.result}({rewrite})"
        )
    return {name: getattr(result, name) for name in names}


def _checked(interface: Interface, port: Port, value: Any) -> str | Path | None:
    """The text of a parameter, the path of an artifact, or None for an artifact that is left out."""
    if isinstance(port.type, ArtifactKind):
        return _checked_path(interface, port, port.type, value)
    assert isinstance(port.type, ValueType)
    try:
        text = port.type.comparable(value)
    except TypeError as error:
        nothing = ": the function returned nothing" if value is None and interface.bare else ""
        raise _problem(interface, port, f"{error}{nothing}") from None
    if problem := unfit(text):
        raise _problem(interface, port, f"the value {problem}; it begins with {text[:_BEGINNING]!r}")
    return text


def _checked_path(interface: Interface, port: Port, kind: ArtifactKind, value: Any) -> Path | None:
    if value is None and port.optional:
        return None
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes) or value == "":
        raise _problem(interface, port, f"{shown(value)} is not the path of {kind.expectation}")
    path = Path(value)
    try:
        problem = kind.problem(path)
    except (OSError, ValueError) as error:
        problem = f"{shown(str(path))} cannot be read: {error}"
    if problem:
        raise _problem(interface, port, problem)
    return path
