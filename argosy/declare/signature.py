"""From a function's signature to an `Interface`."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from argosy.declare.fields import expect_name
from argosy.declare.groups import Group, fields_of, is_group
from argosy.errors import DeclarationError, place_of
from argosy.step.arguments import ambiguous
from argosy.step.interface import REQUIRED, ArtifactKind, Interface, Port, Stored, argo_name
from argosy.step.values import ValueType, unfit

_REFUSED_KINDS = {
    inspect.Parameter.VAR_POSITIONAL: "*{name}",
    inspect.Parameter.VAR_KEYWORD: "**{name}",
    inspect.Parameter.POSITIONAL_ONLY: "positional-only {name}",
}


_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
RESULT = "result"
"""The name of the output of a function that returns it bare: `-> float`."""


def where(function: Callable[..., Any]) -> str:
    """`file:line` of a function's definition."""
    code = inspect.unwrap(function).__code__
    return place_of(code.co_filename, code.co_firstlineno)


def check_function(function: Any, word: str, name: str | None = None) -> None:
    """Refuse what cannot be a component's or a pipeline's function; `word` is which of them.

    A pipeline with a name of its own may be a lambda: only a step is looked up in its module.

    Raises:
        DeclarationError: it is no function, a method, a lambda, asynchronous or a generator.
    """
    plain = inspect.unwrap(function)
    if not inspect.isfunction(plain) or hasattr(function, "interface"):
        from argosy.declare.source import call_site

        shown = f"the class {function.__name__}" if inspect.isclass(function) else repr(function)
        raise DeclarationError(
            f"{call_site()}: @{word} stands on a function, not on {shown}{_instead(function, word)}"
        )
    if plain.__name__ == "<lambda>" and (word == "component" or not name):
        raise DeclarationError(f"{where(plain)}: a lambda has no name and no types; declare it with 'def'")
    if "." in plain.__qualname__.rpartition("<locals>.")[2]:
        raise _fail(plain, f"a method cannot be a {word}; write a function at the top level of the module")
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        inside = ", and asyncio.run(...) in it" if word == "component" else ""
        raise _fail(plain, f"a {word} is no 'async def'; write 'def'{inside}")
    if inspect.isgeneratorfunction(plain):
        raise _fail(plain, f"a {word} does not yield; return its outputs at the end")


def _instead(marked: Any, word: str) -> str:
    """The hint for what a decorator stands on in place of a function."""
    if isinstance(marked, str) and word == "pipeline":
        return f"; write @pipeline(name={marked!r})"
    if not hasattr(marked, "interface"):
        return ""
    if word == "pipeline" and hasattr(marked, "container"):
        return "; declare the component by itself, and call it in a function under @pipeline"
    return "; one of the two decorators is too many"


def read_interface(function: Callable[..., Any], name: str | None = None) -> Interface:
    """The interface that a component's function declares.

    Raises:
        DeclarationError: an annotation is missing or cannot travel, or a default is of another type;
            the message names the function's file and line.
    """
    hints, told = _hints(function), _documentation(function)
    inputs = tuple(
        _input(function, parameter, hints, told.names.get(parameter.name, ""))
        for parameter in inspect.signature(function).parameters.values()
    )
    interface = replace(_interface(function, name, told), inputs=inputs)
    result = hints.get("return", REQUIRED)
    if result is REQUIRED:
        raise _fail(function, "no return type; write '-> None' for a step without outputs")
    if hasattr(result, "_fields"):
        interface = replace(interface, outputs=_outputs(function, result), result=result.__name__)
    elif result is not type(None):
        interface = replace(interface, outputs=(_bare_output(function, result),), bare=True)
    if option := ambiguous(interface):
        raise _fail(
            function, f"'{option}' would mean two things on the step's command line; rename the input"
        )
    return interface


def read_pipeline(
    function: Callable[..., Any], name: str | None = None
) -> tuple[Interface, dict[str, Group]]:
    """The interface of a pipeline's function, and its parameter groups by their names in the function.

    Outputs are those of a NamedTuple, any other result is none.

    Raises:
        DeclarationError: as for `read_interface`; or two parameters have one name, or a group is in a group.
    """
    hints, told = _hints(function), _documentation(function)
    inputs: list[Port] = []
    groups: dict[str, Group] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name)
        if is_group(hint):
            found = _group(function, parameter, hint)
            groups[parameter.name] = Group(hint, tuple(port.name for port in found))
            inputs += found
        else:
            inputs.append(_input(function, parameter, hints, told.names.get(parameter.name, "")))
    _refuse_in_pipeline(function, inputs)
    result: Any = hints.get("return")
    outputs = _outputs(function, result) if hasattr(result, "_fields") else ()
    if not outputs and result not in (None, type(None), Any):
        shown = getattr(result, "__name__", result)
        raise _fail(
            function,
            f"returns {shown}; a pipeline's outputs have names: declare a NamedTuple, or write '-> None'",
        )
    interface = replace(_interface(function, name, told), inputs=tuple(inputs), outputs=outputs)
    return replace(interface, result=getattr(result, "__name__", "")) if outputs else interface, groups


def _refuse_in_pipeline(function: Callable[..., Any], inputs: list[Port]) -> None:
    if artifact := next((p.name for p in inputs if p.is_artifact), None):
        raise _fail(
            function,
            f"'{artifact}' is an artifact, and a pipeline's parameters are text: write '{artifact}: str' for "
            "an address, and let a step fetch it",
        )
    names = [p.argo_name for p in inputs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _fail(function, f"the parameter '{twice}' comes from two places; a workflow has one of a name")


def _group(function: Callable[..., Any], parameter: inspect.Parameter, group: type) -> list[Port]:
    """The parameters that a group stands for."""
    try:
        hints, told = get_type_hints(group, include_extras=True), _documentation(group).names
        default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        fields = fields_of(group, default)
    except (NameError, TypeError) as error:
        raise _fail(function, f"the group '{parameter.name}': {error}") from None
    if inner := next((name for name in fields if is_group(hints.get(name))), None):
        raise _fail(function, f"the group '{parameter.name}' holds the group '{inner}'; take each by itself")
    found = []
    for name, value in fields.items():
        given = inspect.Parameter.empty if value is REQUIRED else value
        field = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=given)
        found.append(_input(function, field, hints, told.get(name, "")))
    return found


def _interface(function: Callable[..., Any], name: str | None, told: _Documentation) -> Interface:
    if not name and not function.__name__.isascii():
        raise _fail(function, "Argo's names are letters without accents, digits and '-'; give it name='...'")
    own = name or argo_name(function.__name__)
    try:
        expect_name("its name", own)
    except DeclarationError as error:
        if not name:
            raise _fail(function, f"{error}; rename it, or give it name='...'") from None
    return Interface(
        name=own,
        summary=told.summary,
        description=told.description,
        inputs=(),
        outputs=(),
    )


@dataclass(frozen=True)
class _Documentation:
    summary: str
    description: str
    names: Mapping[str, str] = field(default_factory=dict)


def _documentation(described: Any) -> _Documentation:
    """The parts of a docstring; where only a step runs, they may have to be told as they stand."""
    text = inspect.getdoc(described) or ""
    try:
        import docstring_parser
    except ImportError:
        summary, _, description = text.partition("\n\n")
        return _Documentation(_one_line(summary), description.strip())
    doc = docstring_parser.parse(text)
    names = {p.arg_name: _one_line(p.description) for p in doc.params}
    return _Documentation(_one_line(doc.short_description), (doc.long_description or "").strip(), names)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise _fail(function, f"a type cannot be read: {error}") from None


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
        if port.optional and port.default is None:
            return port
        raise _fail(
            function,
            f"input '{name}' is an artifact, and its only default is None: write "
            f"'{name}: File | None = None', and use {str(port.default)!r} in the function where it is None",
        )
    try:
        problem = unfit(port.default_text)
    except TypeError as error:
        written = hints[name].__name__ if not get_args(hints[name]) else str(hints[name])
        hint = f"; write '{name}: {written} | None = None'" if port.default is None else ""
        raise _fail(function, f"the default of input '{name}': {error}{hint}") from None
    if problem:
        raise _fail(function, f"the default of input '{name}' {problem}")
    return port


def _port(function: Any, name: str, hint: Any, told: str, default: Any = REQUIRED) -> Port:
    if not name.isascii():
        raise _fail(function, f"'{name}': Argo's names are letters without accents, digits, '-' and '_'")
    hint, extras, optional = _unwrapped(hint)
    kind = next((e for e in extras if isinstance(e, ArtifactKind)), None)
    stored = next((e for e in extras if isinstance(e, Stored)), None)
    file_name = next((e for e in extras if isinstance(e, str)), argo_name(name))
    if "/" in file_name or file_name in ("", ".", ".."):
        raise _fail(function, f"'{name}' has {file_name!r} for a file name; a plain name is wanted")
    if stored and kind is None:
        raise _fail(function, f"'{name}' is no artifact, and Stored is about artifacts")
    if hint in (Path, bytes, bytearray) and kind is None:
        raise _fail(function, f"'{name}' is {_a(hint)}; write 'File' or 'Directory'")
    if kind:
        kind = replace(kind, optional=optional)
        return Port(name, kind, told, default, file_name, stored=stored)
    if _holds_files(hint):
        raise _fail(
            function, f"'{name}' holds files one by one; write 'Directory' for a folder that has them"
        )
    try:
        value = ValueType.from_hint(hint)
    except TypeError as error:
        raise _fail(function, f"'{name}': {error}") from None
    return Port(name, replace(value, optional=value.optional or optional), told, default, file_name)


def _holds_files(hint: Any) -> bool:
    """Whether a file is in a list, a dict or a union of other types."""
    return any(isinstance(part, ArtifactKind) for part in get_args(hint)) or any(
        map(_holds_files, get_args(hint))
    )


def _a(hint: type) -> str:
    return f"a {hint.__name__}" if hint is Path else hint.__name__


def _unwrapped(hint: Any) -> tuple[Any, list[Any], bool]:
    """A type without `Annotated` and `| None`; what is annotated; whether None is allowed."""
    extras: list[Any] = []
    optional = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *found = get_args(hint)
            extras = [*found, *extras]
        elif (
            get_origin(hint) in _UNIONS
            and len(inner := _not_none(hint)) == 1
            and type(None) in get_args(hint)
        ):
            hint, optional = inner[0], True
        else:
            return hint, extras, optional


def _not_none(hint: Any) -> list[Any]:
    return [argument for argument in get_args(hint) if argument is not type(None)]


def _bare_output(function: Any, result: Any) -> Port:
    if get_origin(result) is tuple or result is tuple:
        raise _fail(
            function,
            f"returns {getattr(result, '__name__', result)}; several outputs have names: declare "
            "'class Result(NamedTuple)' with one field an output, and write '-> Result'",
        )
    if is_dataclass(result) or hasattr(result, "__total__"):
        raise _fail(function, f"returns {result.__name__}; outputs have names: declare it as a NamedTuple")
    port = _port(function, RESULT, result, "")
    return replace(port, description=_returns(function))


def _returns(function: Any) -> str:
    try:
        import docstring_parser
    except ImportError:
        return ""
    returns = docstring_parser.parse(inspect.getdoc(function) or "").returns
    return _one_line(returns.description) if returns else ""


def _outputs(function: Any, result: Any) -> tuple[Port, ...]:
    try:
        hints = get_type_hints(result, include_extras=True)
    except (NameError, TypeError) as error:
        raise _fail(function, f"a type of {result.__name__} cannot be read: {error}") from None
    if untyped := next((f for f in result._fields if f not in hints), None):
        raise _fail(
            function,
            f"output '{untyped}' has no type; declare 'class {result.__name__}(NamedTuple)' with "
            f"'{untyped}: str', or another type",
        )
    told = _documentation(result).names
    defaults = getattr(result, "_field_defaults", {})
    return tuple(
        _port(function, f, hints[f], told.get(f, ""), defaults.get(f, REQUIRED)) for f in result._fields
    )
