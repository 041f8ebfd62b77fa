"""The engine's own functions of expressions, with what they take and yield.

A parameter's type is a word; `?` marks one that may be left out, `*` one that may be repeated.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from argosy.manifest import golang, times
from argosy.manifest.syntax import ExpressionError

_JSONPATH_STEP = re.compile(
    r"""(?P<deep>\.\.)(?=[\w*\[])|\.(?P<wild>\*)|\.?(?P<name>[^\W\d][\w-]*|(?<=\.)[\w-]+)
    |\[\s*(?P<all>\*)\s*\]|\[\s*(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*\]
    |\[\s*(?P<slice>-?\d*\s*:\s*-?\d*(?:\s*:\s*-?\d*)?)\s*\]|\[\s*(?P<index>-?\d+)\s*\]
    |\[\s*(?P<union>[^\]\[?()]+(?:,[^\]\[?()]+)+)\s*\]|\[\?\((?P<filter>.*?)\)\]""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Function:
    """One function: the types of its parameters, the type of its result, and what computes it."""

    parameters: tuple[str, ...]
    result: str
    call: Callable[..., Any]


def methods_of(kind: str) -> dict[str, str]:
    """The methods of times and durations, with the types of their results."""
    return times.METHODS.get(kind, {})


def refuse(name: str, value: Any) -> ExpressionError:
    """The error of a function that was given a value that it cannot use."""
    return ExpressionError(f"{name} cannot be used with {golang.show(value)!r} ({golang.type_name(value)})")


def length(value: Any) -> int:
    """How many characters, elements or keys a value has."""
    if not isinstance(value, (str, list, tuple, dict)):
        raise refuse("len", value)
    return len(value)


def kind_of(value: Any) -> str:
    """The name that `type(...)` yields."""
    if isinstance(value, bool):
        return "bool"
    name = golang.type_name(value)
    if name in ("string", "int", "bool"):
        return name
    if isinstance(value, (list, tuple)):
        return "array"
    if isinstance(value, dict):
        return "map"
    return {"<nil>": "nil", "float64": "float", "int64": "int", "uint8": "uint"}.get(name, name)


def to_int(value: Any) -> int:
    """A whole number of a number or a text; a float loses its fraction, a text must be whole."""
    if golang.is_number(value):
        fits = math.isfinite(value) and -(2**63) <= value < 2**63
        return int(value) if fits else -(2**63)
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value) and -(2**63) <= int(value) < 2**63:
        return int(value)
    raise ExpressionError(f"int cannot read {golang.show(value)!r}: it is no whole number")


_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|0x[0-9a-f]*\.?[0-9a-f]*p[+-]?[0-9]+|inf(?:inity)?)|nan",
    re.I,
)


def to_float(value: Any) -> float:
    """A float of a number or a text."""
    if golang.is_number(value):
        return float(value)
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        number = float.fromhex(value) if "0x" in value.lower() else float(value)
        if math.isfinite(number) or "n" in value.lower():
            return number
    raise ExpressionError(f"float cannot read {golang.show(value)!r}: it is no number")


def _rounded(how: Callable[[float], float]) -> Callable[[Any], float]:
    def call(value: Any) -> float:
        if not golang.is_number(value):
            raise refuse("round", value)
        return float(how(float(value))) if math.isfinite(value) else float(value)

    return call


def _half_away(value: float) -> float:
    fraction, whole = math.modf(value)
    return whole + math.copysign(1, value) if abs(fraction) >= 0.5 else whole


def _absolute(value: Any) -> Any:
    if not golang.is_number(value):
        raise refuse("abs", value)
    return abs(value) if isinstance(value, float) else _signed(abs(value))


def _text(name: str, *values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise refuse(name, value)


def _on_texts(name: str, how: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose first two arguments are texts."""

    def call(*arguments: Any) -> Any:
        _text(name, *arguments[:2])
        return how(*arguments)

    return call


def _split(text: str, separator: str, limit: int = -1, *, after: bool = False) -> golang.TypedList:
    if limit == 0:
        return golang.TypedList([], "string")
    parts = text.split(separator, limit - 1 if limit > 0 else -1) if separator else _characters(text, limit)
    if after and separator:
        parts = [part + separator for part in parts[:-1]] + parts[-1:]
    return golang.TypedList(parts, "string")


def _characters(text: str, limit: int) -> list[str]:
    return list(text) if limit < 0 or limit >= len(text) else [*text[: limit - 1], text[limit - 1 :]]


def _repeat(text: str, times_: Any) -> str:
    _text("repeat", text)
    count = to_int(times_)
    if count < 0 or count > 1_000_000:
        raise ExpressionError(f"repeat takes 0 to 1000000, not {count}")
    return text * count


def _join(values: Any, separator: str = "") -> str:
    _text("join", *values)
    return separator.join(values)


def _offset(text: str, at: int) -> int:
    """Where something is, in bytes, as the engine counts."""
    return at if at < 0 else len(text[:at].encode())


def flat(name: str, values: Iterable[Any]) -> list[Any]:
    """Numbers of arguments, of which some are lists."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, (list, tuple)):
            found.extend(flat(name, value))
        elif golang.is_number(value):
            found.append(value)
        else:
            raise refuse(name, value)
    return found


def _extreme(name: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        if len(values) == 1 and not isinstance(values[0], (list, tuple)):
            return values[0]
        return choose(flat(name, values), default=None)

    return call


def _mean(*values: Any) -> float:
    numbers = flat("mean", values)
    return float(sum(numbers)) / len(numbers) if numbers else 0.0


def _median(*values: Any) -> float:
    numbers = sorted(float(number) for number in flat("median", values))
    middle = len(numbers) // 2
    if not numbers:
        return 0.0
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def write_json(value: Any, indent: str = "") -> str:
    """JSON of a value. Raises ExpressionError for what JSON cannot hold."""
    try:
        return golang.to_json(value, indent)
    except (ValueError, TypeError) as error:
        raise ExpressionError(str(error)) from error


def read_json(text: Any) -> Any:
    """The value of a JSON text. Raises ExpressionError naming what is no JSON."""
    _text("fromJSON", text)
    try:
        return golang.from_json(text)
    except (ValueError, RecursionError) as error:
        raise ExpressionError(f"{text[:40]!r} is no JSON: {error}") from error


def _from_base64(text: str) -> str:
    _text("fromBase64", text)
    try:
        return golang.from_base64(text)
    except ValueError as error:
        raise ExpressionError(f"{text[:40]!r} is no base64: {error}") from error


def _to_base64(text: str) -> str:
    _text("toBase64", text)
    return base64.b64encode(text.encode()).decode()


def listed(name: str, value: Any) -> list[Any]:
    """A list, or the error that the function needs one."""
    if not isinstance(value, (list, tuple)):
        raise refuse(name, value)
    return list(value)


def _mapped(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refuse(name, value)
    return value


def _get(base: Any, key: Any) -> Any:
    if isinstance(base, dict):
        return base.get(key) if isinstance(key, str) else None
    if isinstance(base, (list, tuple)) and golang.is_number(key):
        at = int(key) + (len(base) if key < 0 else 0)
        return base[at] if 0 <= at < len(base) else None
    return None


def _end(name: str, at: int) -> Callable[[Any], Any]:
    return lambda value: _get(value if isinstance(value, (list, tuple)) else None, at)


def _take(values: Any, count: Any) -> list[Any]:
    number = to_int(count)
    if number < 0:
        raise ExpressionError(f"take cannot take {number} elements")
    return listed("take", values)[:number]


def _from_pairs(pairs: Any) -> dict[str, Any]:
    found = {}
    for pair in listed("fromPairs", pairs):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise refuse("fromPairs", pair)
        found[pair[0] if isinstance(pair[0], str) else golang.show(pair[0])] = pair[1]
    return found


def unique(values: Any) -> list[Any]:
    """The elements without repetitions, in their order."""
    found: list[Any] = []
    for value in listed("uniq", values):
        if not any(golang.equal(value, other) for other in found):
            found.append(value)
    return found


def _flatten(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in listed("flatten", values):
        found.extend(_flatten(value) if isinstance(value, (list, tuple)) else [value])
    return found


def sort(values: Any, order: str = "asc", key: Callable[[Any], Any] = lambda value: value) -> list[Any]:
    """A sorted copy; `order` is asc or desc. Raises ExpressionError where elements have no order."""
    if order not in ("asc", "desc"):
        raise ExpressionError(f"an order is asc or desc, not {order!r}")

    def compare(left: Any, right: Any) -> int:
        if less(key(left), key(right)):
            return -1
        return 1 if less(key(right), key(left)) else 0

    return sorted(listed("sort", values), key=cmp_to_key(compare), reverse=order == "desc")


def less(left: Any, right: Any) -> bool:
    """Whether a value comes before another. Raises ExpressionError where they have no order."""
    if golang.is_number(left) and golang.is_number(right):
        return bool(left < right)
    if type(left) is type(right) and isinstance(left, (str, times.Time, times.Duration)):
        return bool(left < right)
    raise ExpressionError(
        f"{golang.show(left)!r} ({golang.type_name(left)}) and "
        f"{golang.show(right)!r} ({golang.type_name(right)}) have no order"
    )


def _bits(how: Callable[[int, int], int]) -> Callable[[Any, Any], int]:
    def call(left: Any, right: Any) -> int:
        for value in (left, right):
            if not isinstance(value, int) or isinstance(value, bool):
                raise refuse("a bitwise function", value)
        return _signed(how(left, right))

    return call


def _signed(number: int) -> int:
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def _shifted(left: int, right: int, how: Callable[[int, int], int]) -> int:
    if right < 0:
        raise ExpressionError(f"a shift by {right}, which is negative")
    return how(left, min(right, 64))


def _concat(*lists: Any) -> list[Any]:
    return [item for part in lists for item in listed("concat", part)]


def _f(parameters: str, result: str, call: Callable[..., Any]) -> Function:
    return Function(tuple(parameters.split()), result, call)


def _trim(text: str, characters: str = golang.SPACES) -> str:
    return text.strip(characters) if characters else text


FUNCTIONS: dict[str, Function] = {
    "len": _f("sized", "int", length),
    "type": _f("any", "string", kind_of),
    "abs": _f("number", "any", _absolute),
    "ceil": _f("number", "float", _rounded(math.ceil)),
    "floor": _f("number", "float", _rounded(math.floor)),
    "round": _f("number", "float", _rounded(_half_away)),
    "int": _f("scalar", "int", to_int),
    "float": _f("scalar", "float", to_float),
    "string": _f("any", "string", golang.show),
    "trim": _f("string string?", "string", _on_texts("trim", _trim)),
    "trimPrefix": _f("string string?", "string", _on_texts("trimPrefix", lambda t, p=" ": t.removeprefix(p))),
    "trimSuffix": _f("string string?", "string", _on_texts("trimSuffix", lambda t, p=" ": t.removesuffix(p))),
    "upper": _f("string", "string", _on_texts("upper", golang.upper)),
    "lower": _f("string", "string", _on_texts("lower", golang.lower)),
    "split": _f("string string int?", "strings", _on_texts("split", _split)),
    "splitAfter": _f(
        "string string int?", "strings", _on_texts("splitAfter", lambda *args: _split(*args, after=True))
    ),
    "replace": _f("string string string int?", "string", _on_texts("replace", str.replace)),
    "repeat": _f("string int", "string", _repeat),
    "join": _f("list string?", "string", lambda values, *rest: _join(listed("join", values), *rest)),
    "indexOf": _f("string string", "int", _on_texts("indexOf", lambda t, p: _offset(t, t.find(p)))),
    "lastIndexOf": _f("string string", "int", _on_texts("lastIndexOf", lambda t, p: _offset(t, t.rfind(p)))),
    "hasPrefix": _f("string string", "bool", _on_texts("hasPrefix", str.startswith)),
    "hasSuffix": _f("string string", "bool", _on_texts("hasSuffix", str.endswith)),
    "max": _f("numbers numbers*", "any", _extreme("max", max)),
    "min": _f("numbers numbers*", "any", _extreme("min", min)),
    "mean": _f("numbers numbers*", "float", _mean),
    "median": _f("numbers numbers*", "float", _median),
    "toJSON": _f("any", "string", lambda value: write_json(value, "  ")),
    "fromJSON": _f("string", "any", read_json),
    "toBase64": _f("string", "string", _to_base64),
    "fromBase64": _f("string", "string", _from_base64),
    "now": _f("location?", "time", times.now),
    "duration": _f("string", "duration", times.duration),
    "date": _f("string string? string?", "time", times.date),
    "timezone": _f("string", "location", times.zone),
    "first": _f("list", "any", _end("first", 0)),
    "last": _f("list", "any", _end("last", -1)),
    "get": _f("indexed any", "any", _get),
    "take": _f("list int", "list", _take),
    "keys": _f("map", "list", lambda value: list(_mapped("keys", value))),
    "values": _f("map", "list", lambda value: list(_mapped("values", value).values())),
    "toPairs": _f("map", "list", lambda value: [[k, v] for k, v in _mapped("toPairs", value).items()]),
    "fromPairs": _f("list", "map", _from_pairs),
    "reverse": _f("list", "list", lambda value: listed("reverse", value)[::-1]),
    "uniq": _f("list", "list", unique),
    "concat": _f(
        "list list*", "list", lambda *lists: [item for part in lists for item in listed("concat", part)]
    ),
    "flatten": _f("list", "list", _flatten),
    "sort": _f("list string?", "list", sort),
    "bitand": _f("int int", "int", _bits(lambda a, b: a & b)),
    "bitor": _f("int int", "int", _bits(lambda a, b: a | b)),
    "bitxor": _f("int int", "int", _bits(lambda a, b: a ^ b)),
    "bitnand": _f("int int", "int", _bits(lambda a, b: a & ~b)),
    "bitshl": _f("int int", "int", _bits(lambda a, b: _shifted(a, b, lambda x, y: x << y))),
    "bitshr": _f("int int", "int", _bits(lambda a, b: _shifted(a, b, lambda x, y: x >> y))),
    "bitushr": _f("int int", "int", _bits(lambda a, b: _shifted(a % 2**64, b, lambda x, y: x >> y))),
    "bitnot": _f("int", "int", lambda a: _bits(lambda x, _: ~x)(a, 0)),
    "asInt": _f("any", "any", to_int),
    "asFloat": _f("any", "any", to_float),
    "toJson": _f("any", "string", write_json),
    "jsonpath": _f("string string", "any", lambda text, path: jsonpath(read_json(text), path)),
}
"""Functions by name; those over elements, such as `filter`, belong to the evaluation."""


def over_elements(name: str, values: Sequence[Any], ask: Callable[[int, Any], Any]) -> Any:
    """`all`, `filter`, `map` and their like: `ask` evaluates the question for an index and its element."""
    return _OVER[name](values, ask)


def _truth(name: str, answer: Any) -> bool:
    if not isinstance(answer, bool):
        raise ExpressionError(
            f"what {name} asks yields {golang.show(answer)!r}, which is neither true nor false"
        )
    return answer


Ask = Callable[[int, Any], Any]


def _asked(name: str, values: Sequence[Any], ask: Ask) -> Iterable[bool]:
    return (_truth(name, ask(at, value)) for at, value in enumerate(values))


def _found(
    name: str, values: Sequence[Any], ask: Callable[[int, Any], Any], *, backwards: bool
) -> int | None:
    for at in sorted(range(len(values)), reverse=backwards):
        if _truth(name, ask(at, values[at])):
            return at
    return None


def _element(values: Sequence[Any], at: int | None) -> Any:
    return None if at is None else values[at]


def _filtered(values: Sequence[Any], ask: Ask) -> list[Any]:
    return [value for value, yes in zip(values, _asked("filter", values, ask), strict=True) if yes]


def _grouped(values: Sequence[Any], ask: Ask) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for at, value in enumerate(values):
        key = ask(at, value)
        groups.setdefault(key if isinstance(key, str) else golang.show(key), []).append(value)
    return groups


_OVER: dict[str, Callable[[Sequence[Any], Ask], Any]] = {
    "all": lambda values, ask: all(_asked("all", values, ask)),
    "any": lambda values, ask: any(_asked("any", values, ask)),
    "none": lambda values, ask: not any(_asked("none", values, ask)),
    "one": lambda values, ask: sum(_asked("one", values, ask)) == 1,
    "count": lambda values, ask: sum(_asked("count", values, ask)),
    "filter": lambda values, ask: [
        v for v, yes in zip(values, _asked("filter", values, ask), strict=True) if yes
    ],
    "map": lambda values, ask: [ask(at, value) for at, value in enumerate(values)],
    "find": lambda values, ask: _element(values, _found("find", values, ask, backwards=False)),
    "findLast": lambda values, ask: _element(values, _found("findLast", values, ask, backwards=True)),
    "findIndex": lambda values, ask: _found("findIndex", values, ask, backwards=False),
    "findLastIndex": lambda values, ask: _found("findLastIndex", values, ask, backwards=True),
    "groupBy": _grouped,
}


def jsonpath(value: Any, path: str) -> Any:
    """The values that `path` names in a JSON value. Raises ExpressionError where it names nothing."""
    if not path.startswith("$"):
        raise ExpressionError(f"the path {path!r} does not begin with $")
    found, many, at, deep = [value], False, 1, False
    while at < len(path):
        match = _JSONPATH_STEP.match(path, at)
        if match is None:
            raise ExpressionError(f"the path {path!r} cannot be read from {path[at:]!r} on")
        at = match.end()
        kind = str(match.lastgroup)
        if kind == "deep":
            found, many, deep = [inner for item in found for inner in _descendants(item)], True, True
            continue
        found = [picked for item in found for picked in _pick(item, kind, match[kind], path, lenient=many)]
        many = many or kind in ("wild", "all", "slice", "union", "filter")
        deep = False
    if deep:
        raise ExpressionError(f"the path {path!r} ends where a name is wanted")
    return found if many else found[0]


def _descendants(value: Any) -> list[Any]:
    below = [inner for item in _children(value) for inner in _descendants(item)]
    return [value, *below] if isinstance(value, (dict, list)) else []


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _pick(value: Any, kind: str, text: str, path: str, *, lenient: bool) -> list[Any]:
    if kind in ("wild", "all"):
        if not isinstance(value, (dict, list)) and not lenient:
            raise _mismatch(path, "a list or a map", value)
        return _children(value)
    try:
        return _pick_named(value, kind, text, path)
    except ExpressionError:
        if lenient:
            return []
        raise


def _pick_named(value: Any, kind: str, text: str, path: str) -> list[Any]:
    if kind in ("name", "quoted"):
        return [_key(value, re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "quoted" else text, path)]
    if kind == "filter":
        return [item for item in _children(value) if _holds(item, text, path)]
    if kind == "union":
        return [_one(value, part.strip(), path) for part in text.split(",")]
    if not isinstance(value, list):
        raise _mismatch(path, "a list", value)
    if kind == "index":
        return [_one(value, text, path)]
    return value[slice(*(int(part) if part.strip() else None for part in text.split(":")))]


def _one(value: Any, text: str, path: str) -> Any:
    if re.fullmatch(r"-?\d+", text) and isinstance(value, list):
        if not -len(value) <= int(text) < len(value):
            raise ExpressionError(f"the path {path!r}: there is no element {text} of {len(value)}")
        return value[int(text)]
    return _key(value, text.strip("'\""), path)


def _key(value: Any, key: str, path: str) -> Any:
    if key == "length" and isinstance(value, (list, str)):
        return float(len(value))
    if not isinstance(value, dict):
        raise _mismatch(path, "a map", value)
    if key not in value:
        raise ExpressionError(f"the path {path!r}: there is no {key!r}")
    return value[key]


def _mismatch(path: str, wanted: str, value: Any) -> ExpressionError:
    return ExpressionError(f"the path {path!r} wants {wanted} where there is {golang.show(value)!r}")


_JSONPATH_TEST = re.compile(r"\s*@(?P<path>[^\s=<>!]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*")


def _holds(item: Any, test: str, path: str) -> bool:
    match = _JSONPATH_TEST.fullmatch(test)
    if match is None:
        raise ExpressionError(f"the path {path!r}: the filter {test!r} cannot be read")
    try:
        left = jsonpath(item, "$" + match["path"])
    except ExpressionError:
        return False
    if match["op"] is None:
        return True
    right = golang.from_json(match["value"].replace("'", '"'))
    if match["op"] in ("==", "!="):
        return golang.equal(left, right) is (match["op"] == "==")
    if type(left) is not type(right):
        return False
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[match["op"]])
