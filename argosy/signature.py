"""From a function's signature to an `Interface`."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import docstring_parser

from argosy.artifacts import ArtifactKind, Stored
from argosy.errors import DeclarationError
from argosy.interface import REQUIRED, Interface, Port, argo_name
from argosy.values import ValueType

_REFUSED_KINDS = {
    inspect.Parameter.VAR_POSITIONAL: "*{name}",
    inspect.Parameter.VAR_KEYWORD: "**{name}",
    inspect.Parameter.POSITIONAL_ONLY: "positional-only {name}",
}


def where(function: Callable[..., Any]) -> str:
    """`file:line` of a function's definition."""
    code = function.__code__
    return f"{Path(code.co_filename)}:{code.co_firstlineno}"


def read_interface(function: Callable[..., Any], name: str | None = None) -> Interface:
    """The interface that a component's function declares.

    Raises:
        DeclarationError: an annotation is missing or cannot travel, or a default is of another type;
            the message names the function's file and line.
    """
    interface = read_parameters(function, name)
    return replace(interface, outputs=_outputs(function, _hints(function).get("return", REQUIRED)))


def read_pipeline(function: Callable[..., Any], name: str | None = None) -> Interface:
    """The interface of a pipeline's function; outputs are those of a NamedTuple, any other result is none.

    Raises:
        DeclarationError: as for `read_interface`.
    """
    interface = read_parameters(function, name)
    result = _hints(function).get("return")
    return replace(interface, outputs=_outputs(function, result)) if hasattr(result, "_fields") else interface


def read_parameters(function: Callable[..., Any], name: str | None = None) -> Interface:
    """The interface of a function whose result does not matter: inputs alone.

    Raises:
        DeclarationError: as for `read_interface`.
    """
    hints = _hints(function)
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    told = {p.arg_name: _one_line(p.description) for p in doc.params}
    inputs = tuple(
        _input(function, parameter, hints, told.get(parameter.name, ""))
        for parameter in inspect.signature(function).parameters.values()
    )
    return Interface(
        name=name or argo_name(function.__name__),
        summary=_one_line(doc.short_description),
        description=(doc.long_description or "").strip(),
        inputs=inputs,
        outputs=(),
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise DeclarationError(f"{where(function)}: {function.__name__}(): {error}") from None


def _fail(function: Callable[..., Any], problem: str) -> DeclarationError:
    return DeclarationError(f"{where(function)}: {function.__name__}(): {problem}")


def _input(function: Any, parameter: inspect.Parameter, hints: dict[str, Any], told: str) -> Port:
    name = parameter.name
    if parameter.kind in _REFUSED_KINDS:
        shown = _REFUSED_KINDS[parameter.kind].format(name=name)
        raise _fail(function, f"{shown} cannot become an input of a step; name each input")
    if name not in hints:
        raise _fail(function, f"input '{name}' has no type; write '{name}: str', or another type")
    default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
    port = _port(function, name, hints[name], told, default)
    if port.required:
        return port
    if port.is_artifact:
        raise _fail(function, f"input '{name}' is an artifact and cannot have a default")
    try:
        _ = port.default_text
    except TypeError as error:
        raise _fail(function, f"the default of input '{name}': {error}") from None
    return port


def _port(function: Any, name: str, hint: Any, told: str, default: Any = REQUIRED) -> Port:
    kind, stored, file_name = None, None, argo_name(name)
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        kind = next((e for e in extras if isinstance(e, ArtifactKind)), None)
        stored = next((e for e in extras if isinstance(e, Stored)), None)
        file_name = next((e for e in extras if isinstance(e, str)), file_name)
    if "/" in file_name or file_name in ("", ".", ".."):
        raise _fail(function, f"'{name}' has {file_name!r} for a file name; a plain name is wanted")
    if stored and kind is None:
        raise _fail(function, f"'{name}' is no artifact, and Stored is about artifacts")
    if hint is Path and kind is None:
        raise _fail(function, f"'{name}' is a Path; write 'File' or 'Directory'")
    try:
        return Port(name, kind or ValueType.from_hint(hint), told, default, file_name, stored=stored)
    except TypeError as error:
        raise _fail(function, f"'{name}': {error}") from None


def _outputs(function: Any, result: Any) -> tuple[Port, ...]:
    if result is REQUIRED:
        raise _fail(function, "no return type; write '-> None' for a step without outputs")
    if result is type(None):
        return ()
    fields = getattr(result, "_fields", None)
    if fields is None:
        raise _fail(
            function,
            f"returns {getattr(result, '__name__', result)}; outputs have names: declare "
            "'class Result(NamedTuple)' with one field an output, and write '-> Result'",
        )
    hints = get_type_hints(result, include_extras=True)
    doc = docstring_parser.parse(inspect.getdoc(result) or "")
    told = {p.arg_name: _one_line(p.description) for p in doc.params}
    defaults = getattr(result, "_field_defaults", {})
    return tuple(_port(function, f, hints[f], told.get(f, ""), defaults.get(f, REQUIRED)) for f in fields)
