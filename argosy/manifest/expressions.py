"""Expressions of `{{=...}}`, `expression` and `fromExpression`: read, checked by types, evaluated.

The engine compiles an expression against the values that are known at that moment: a name that is not there
and operands of the wrong types are refused before anything is evaluated. A value of unknown type, such as
each parameter, is looked at when it is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from argosy.manifest import functions, golang, sprig, times, types
from argosy.manifest.functions import FUNCTIONS, over_elements, refuse
from argosy.manifest.syntax import PREDICATES, ExpressionError, Node, parse

__all__ = ["ExpressionError", "check", "evaluate", "nested", "reads", "roots"]


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression, given flat values such as `{"inputs.parameters.n": "3"}`.

    Raises ExpressionError where the engine fails, naming the expression and the place in it.
    """
    known = nested(values)
    try:
        _checked(text, frozenset((name, type(value)) for name, value in known.items()))
        return plain(_compiled(text)(_Frame(known)))
    except RecursionError:
        raise ExpressionError(f"expression '{text[:60]}...': it is nested too deeply") from None
    except ExpressionError as error:
        raise _located(text, error) from error
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        # A number or a time that is none to Python, as there are of Go's, where the engine fails as well.
        raise _located(text, ExpressionError(f"it cannot be computed: {error}")) from error


def plain(value: Any) -> Any:
    """A value without the marks that tell Go's types apart."""
    match value:
        case bool() | None | times.Named():  # a number to JSON, a name as text
            return value
        case int():
            return int(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
    return getattr(value, "json_value", value)


def check(text: str, known: Mapping[str, types.Type] | None = None) -> types.Type:
    """The type of an expression's value, before anything is known but the types of the names in it.

    Without `known`, each name may be anything. Raises ExpressionError for what no value could mend.
    """
    what = "read"
    try:
        node = parse(text)
        what = "evaluated"
        if known is None:
            known = dict.fromkeys(_roots(node), types.ANY)
        _check_sprig(node)
        return types.check(node, {"sprig": types.MAP, **known})
    except RecursionError:
        raise ExpressionError("it is nested too deeply", verdict="is nested too deeply") from None
    except ExpressionError as error:
        located = _located(text, error)
        located.verdict = f"cannot be {what}: {error}"
        raise located from error


def _check_sprig(node: Node) -> None:
    path = _path(node.parts[0]) if node.kind == "invoke" else ""
    if path.startswith("sprig.") and path.removeprefix("sprig.") not in sprig.FUNCTIONS:
        raise ExpressionError(f"there is no function {path}", node.at)
    for part in node.parts:
        _check_sprig(part)


def reads(text: str) -> frozenset[str]:
    """The names that an expression reads, as far as they are written out: `inputs.parameters.n`."""
    return frozenset(_reads(parse(text)))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flat values as the maps within maps that expressions see; a map hides a text of the same name."""
    root: dict[str, Any] = {}
    for name in sorted(values):
        *path, last = name.split(".")
        level = root
        for part in path:
            inner = level.get(part)
            if not isinstance(inner, dict):
                inner = level[part] = {}
            level = inner
        level[last] = values[name]
    return root


def _located(text: str, error: ExpressionError) -> ExpressionError:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return ExpressionError(f"expression '{shown}', character {error.at + 1}: {error}", error.at)


@lru_cache(maxsize=4096)
def _checked(text: str, known: frozenset[tuple[str, type]]) -> types.Type:
    """The type of an expression, given what Python types the values of its names have."""
    return types.check(
        parse(text), {"sprig": types.MAP, **{name: types.type_for(kind) for name, kind in known}}
    )


def _roots(node: Node) -> set[str]:
    own = {str(node.value)} if node.kind == "name" else set()
    return own.union(*(_roots(part) for part in node.parts))


def roots(text: str) -> frozenset[str]:
    """First words of the names that an expression reads, and the names of `let`. Raises ExpressionError."""
    try:
        return frozenset(_roots(parse(text)))
    except ExpressionError as error:
        raise _located(text, error) from error


def _reads(node: Node) -> set[str]:
    path = _path(node)
    return {path} if path else set().union(*(_reads(part) for part in node.parts))


def _path(node: Node) -> str:
    if node.kind == "name":
        return str(node.value)
    if node.kind == "chain":
        return _path(node.parts[0])
    if node.kind != "member" or not isinstance(node.parts[1].value, str) or node.parts[1].kind != "constant":
        return ""
    base = _path(node.parts[0])
    return f"{base}.{node.parts[1].value}" if base else ""


@dataclass(slots=True)
class _Frame:
    """The meaning of names while an expression is evaluated."""

    names: Mapping[str, Any]
    local: dict[str, Any] = field(default_factory=dict)
    """Names of `let`, and with a `#` before them those of the element that a question is asked of."""

    def inner(self, **local: Any) -> _Frame:
        return _Frame(self.names, {**self.local, **local})


Run = Callable[[_Frame], Any]


class _Missing(Exception):
    """A `?.` met nothing: the whole chain has no value."""


@lru_cache(maxsize=2048)
def _compiled(text: str) -> Run:
    return _compile(parse(text))


def _compile(node: Node) -> Run:
    made: Run = _COMPILERS[node.kind](node)
    at = node.at

    def run(frame: _Frame) -> Any:
        try:
            return made(frame)
        except ExpressionError as error:
            if not error.at:
                error.at = at
            raise

    return run


def _constant(node: Node) -> Run:
    value = node.value
    return lambda frame: value


def _name(node: Node) -> Run:
    name = str(node.value)

    def run(frame: _Frame) -> Any:
        if name in frame.local:
            return frame.local[name]
        if name == "sprig" and name not in frame.names:
            return _SPRIG
        return frame.names if name == "$env" else frame.names.get(name)

    return run


_SPRIG: dict[str, Any] = {}


def _unary(node: Node) -> Run:
    inner = _compile(node.parts[0])
    operator = str(node.value)
    if operator in ("!", "not"):
        return lambda frame: not _truth(inner(frame), operator)

    def run(frame: _Frame) -> Any:
        value = inner(frame)
        if not golang.is_number(value):
            raise refuse(operator, value)
        return -value if operator == "-" else value

    return run


def _truth(value: Any, operator: str) -> bool:
    if not isinstance(value, bool):
        raise refuse(operator, value)
    return value


def _binary(node: Node) -> Run:
    operator = str(node.value)
    left, right = (_compile(part) for part in node.parts)
    if operator in ("&&", "and"):
        return lambda frame: _truth(left(frame), operator) and _truth(right(frame), operator)
    if operator in ("||", "or"):
        return lambda frame: _truth(left(frame), operator) or _truth(right(frame), operator)
    if operator == "??":
        return lambda frame: _or_else(left, right, frame)
    if operator == "in":
        return _membership(node, left, right)
    act = _ACTIONS[operator]
    return lambda frame: act(left(frame), right(frame))


def _or_else(left: Run, right: Run, frame: _Frame) -> Any:
    value = left(frame)
    return right(frame) if value is None else value


def _membership(node: Node, left: Run, right: Run) -> Run:
    """`in`; the engine turns a list of constant texts into a map, whose keys must be texts."""
    constants = node.parts[1].kind == "array" and all(
        part.kind == "constant" and isinstance(part.value, str) for part in node.parts[1].parts
    )
    texts = bool(constants and node.parts[1].parts)

    def run(frame: _Frame) -> bool:
        value, values = left(frame), right(frame)
        if texts or isinstance(values, dict):
            if value is not None and not isinstance(value, str):
                raise ExpressionError(
                    f"in compares texts, not {golang.show(value)!r} ({golang.type_name(value)})"
                )
            return (value or "") in values
        if values is None:
            return False
        if not isinstance(values, (list, tuple)):
            raise refuse("in", values)
        return any(golang.equal(value, item) for item in values)

    return run


def _arithmetic(symbol: str, how: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def act(left: Any, right: Any) -> Any:
        if golang.is_number(left) and golang.is_number(right):
            result = how(left, right)
            return _wrapped(result) if isinstance(result, int) else result
        moment = _with_times(symbol, left, right)
        if moment is None:
            raise ExpressionError(
                f"{symbol} cannot be used with {golang.show(left)!r} ({golang.type_name(left)}) "
                f"and {golang.show(right)!r} ({golang.type_name(right)})"
            )
        return moment

    return act


def _wrapped(number: int) -> int:
    return number if -(2**63) <= number < 2**63 else (number + 2**63) % 2**64 - 2**63


def _with_times(symbol: str, left: Any, right: Any) -> Any:
    """Sums and differences of texts, times and durations, or None where there is none."""
    match symbol, left, right:
        case "+", str(), str():
            return left + right
        case "+", times.Time(), times.Duration():
            return left.plus(right)
        case "+", times.Duration(), times.Time():
            return right.plus(left)
        case "-", times.Time(), times.Time():
            return left.minus(right)
        case "-", times.Time(), times.Duration():
            return left.plus(times.Duration(-right.nanoseconds))
        case "+", times.Duration(), times.Duration():
            return times.Duration(left.nanoseconds + right.nanoseconds)
        case "-", times.Duration(), times.Duration():
            return times.Duration(left.nanoseconds - right.nanoseconds)
        case "*", times.Duration(), int() | float():
            return times.Duration(int(left.nanoseconds * right))
        case "*", int() | float(), times.Duration():
            return times.Duration(int(left * right.nanoseconds))
    return None


def _divide(left: Any, right: Any) -> float:
    if right:
        return float(left) / float(right)
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left)


def _modulo(left: Any, right: Any) -> int:
    if not isinstance(left, int) or not isinstance(right, int):
        raise refuse("%", right if isinstance(left, int) else left)
    if not right:
        raise ExpressionError("a division by zero")
    return int(math.fmod(left, right)) if abs(left) < 2**53 else left - right * int(left / right)


def _range(left: Any, right: Any) -> Any:
    start, end = functions.to_int(left), functions.to_int(right)
    if isinstance(left, str) or isinstance(right, str):
        raise refuse("..", left if isinstance(left, str) else right)
    if end - start >= 1_000_000:
        raise ExpressionError("the range is too long")
    return golang.TypedList(range(start, end + 1), "int")


def _texts(symbol: str, how: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def act(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        for value in (left, right):
            if not isinstance(value, str):
                raise refuse(symbol, value)
        return how(left, right)

    return act


def _matches(text: str, pattern: str) -> bool:
    try:
        return golang.regex(pattern).search(text) is not None
    except ValueError as error:
        raise ExpressionError(f"{pattern!r} is no regular expression: {error}") from error


_ACTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": golang.equal,
    "!=": lambda left, right: not golang.equal(left, right),
    "<": functions.less,
    ">": lambda left, right: functions.less(right, left),
    "<=": lambda left, right: functions.less(left, right) or golang.equal(left, right),
    ">=": lambda left, right: functions.less(right, left) or golang.equal(left, right),
    "+": _arithmetic("+", lambda left, right: left + right),
    "-": _arithmetic("-", lambda left, right: left - right),
    "*": _arithmetic("*", lambda left, right: left * right),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", _modulo),
    "**": _arithmetic("**", lambda left, right: golang.power(float(left), float(right))),
    "^": _arithmetic("^", lambda left, right: golang.power(float(left), float(right))),
    "..": _range,
    "contains": _texts("contains", lambda text, part: part in text),
    "startsWith": _texts("startsWith", str.startswith),
    "endsWith": _texts("endsWith", str.endswith),
    "matches": _texts("matches", _matches),
}


def _chain(node: Node) -> Run:
    inner = _compile(node.parts[0])

    def run(frame: _Frame) -> Any:
        try:
            return inner(frame)
        except _Missing:
            return None

    return run


def _member(node: Node) -> Run:
    base, key = (_compile(part) for part in node.parts)

    def run(frame: _Frame) -> Any:
        value = base(frame)
        if value is None and node.optional:
            raise _Missing
        return fetch(value, key(frame))

    return run


def fetch(base: Any, key: Any) -> Any:
    """A key of a map, an element of a list, a byte of a text. Raises ExpressionError where there is none."""
    if isinstance(base, dict):
        if key is not None and not isinstance(key, str):
            raise ExpressionError(f"{golang.show(key)!r} cannot be a key of a map")
        return base.get(key or "", getattr(base, "zero", None))
    if isinstance(base, (list, tuple, str)) and golang.is_number(key):
        elements: Any = base.encode() if isinstance(base, str) else base
        if not -len(elements) <= int(key) < len(elements):
            raise ExpressionError(f"there is no element {int(key)} of {len(elements)}")
        return golang.Byte(elements[int(key)]) if isinstance(base, str) else elements[int(key)]
    if hasattr(base, "method") and isinstance(key, str):
        return base.method(key)
    raise ExpressionError(f"{golang.show(base)!r} ({golang.type_name(base)}) has no {golang.show(key)!r}")


def _slice(node: Node) -> Run:
    base, start, end = (_compile(part) for part in node.parts)

    def run(frame: _Frame) -> Any:
        value = base(frame)
        if not isinstance(value, (list, tuple, str)):
            raise ExpressionError(f"{golang.show(value)!r} has no parts to cut out")
        bounds = [
            functions.to_int(b) if given else None
            for given, b in zip(node.value, (start(frame), end(frame)), strict=True)
        ]
        if isinstance(value, str):
            return value.encode()[slice(*bounds)].decode("utf-8", "replace")
        return value[slice(*bounds)]

    return run


def _invoke(node: Node) -> Run:
    callee = node.parts[0]
    arguments = [_compile(part) for part in node.parts[1:]]
    name = str(node.value)
    if _path(callee) == f"sprig.{name}":
        return lambda frame: sprig.call(name, [argument(frame) for argument in arguments])
    function = _compile(callee)

    def run(frame: _Frame) -> Any:
        found = function(frame)
        if not callable(found):
            raise ExpressionError(f"there is no function {name!r} to call")
        try:
            return found(*(argument(frame) for argument in arguments))
        except TypeError as error:
            raise ExpressionError(f"{name} cannot be called so: {error}") from error

    return run


def _call(node: Node) -> Run:
    name = str(node.value)
    if name in PREDICATES and len(node.parts) > 1:
        return _over(node)
    arguments = [_compile(part) for part in node.parts]
    if name in ("count", "sum"):
        return lambda frame: _gathered(name, arguments[0](frame))
    function = FUNCTIONS[name]
    absent = "" if name == "jsonpath" else None

    def run(frame: _Frame) -> Any:
        given = [argument(frame) for argument in arguments]
        return function.call(*(absent if value is None else value for value in given))

    return run


def _gathered(name: str, values: Any) -> Any:
    found = functions.listed(name, values)
    if name == "count":
        return over_elements("count", found, lambda _, value: value)
    total: Any = 0
    for value in found:
        total = _ACTIONS["+"](value, total)
    return total


def _over(node: Node) -> Run:
    name = str(node.value)
    over, question = _compile(node.parts[0]), _compile(node.parts[1])
    rest = [_compile(part) for part in node.parts[2:]]

    def run(frame: _Frame) -> Any:
        values = functions.listed(name, over(frame))

        def ask(at: int, value: Any, **more: Any) -> Any:
            return question(frame.inner(**{"#": value, "#index": at}, **more))

        if name == "sum":
            return _gathered("sum", [ask(at, value) for at, value in enumerate(values)])
        if name == "sortBy":
            order = rest[0](frame) if rest else "asc"
            keyed = [(ask(at, value), value) for at, value in enumerate(values)]
            return [value for _, value in functions.sort(keyed, order, lambda pair: pair[0])]
        if name == "reduce":
            return _reduced(values, ask, [start(frame) for start in rest])
        return over_elements(name, values, ask)

    return run


def _reduced(values: list[Any], ask: Callable[..., Any], start: list[Any]) -> Any:
    if not values and not start:
        raise ExpressionError("reduce of an empty list needs a first value")
    total = start[0] if start else values[0]
    for at, value in enumerate(values):
        if start or at:
            total = ask(at, value, **{"#acc": total})
    return total


def _predicate(node: Node) -> Run:
    return _compile(node.parts[0])


def _pointer(node: Node) -> Run:
    name = f"#{node.value}"
    return lambda frame: frame.local[name]


def _let(node: Node) -> Run:
    value, inner = (_compile(part) for part in node.parts)
    name = str(node.value)
    return lambda frame: inner(frame.inner(**{name: value(frame)}))


def _conditional(node: Node) -> Run:
    condition, yes, no = (_compile(part) for part in node.parts)
    return lambda frame: yes(frame) if _truth(condition(frame), "?") else no(frame)


def _sequence(node: Node) -> Run:
    first, last = (_compile(part) for part in node.parts)
    return lambda frame: (first(frame), last(frame))[1]


def _array(node: Node) -> Run:
    items = [_compile(part) for part in node.parts]
    return lambda frame: [item(frame) for item in items]


def _map(node: Node) -> Run:
    pairs = [tuple(_compile(part) for part in pair.parts) for pair in node.parts]

    def run(frame: _Frame) -> dict[str, Any]:
        found = {}
        for key, value in pairs:
            name = key(frame)
            if not isinstance(name, str):
                raise ExpressionError(f"{golang.show(name)!r} cannot be a key of a map")
            found[name] = value(frame)
        return found

    return run


_COMPILERS: dict[str, Callable[[Node], Run]] = {
    "constant": _constant,
    "name": _name,
    "unary": _unary,
    "binary": _binary,
    "chain": _chain,
    "member": _member,
    "slice": _slice,
    "invoke": _invoke,
    "call": _call,
    "predicate": _predicate,
    "pointer": _pointer,
    "let": _let,
    "conditional": _conditional,
    "sequence": _sequence,
    "array": _array,
    "map": _map,
}
