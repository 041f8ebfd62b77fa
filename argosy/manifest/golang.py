"""Values and texts as the engine's language, Go, treats them.

Argo's expressions and conditions are evaluated by Go programs, so what a number looks like as text, what a
regular expression may hold and when two values are equal are Go's rules, not Python's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any


class Int64(int):
    """A Go `int64`, which is another type than `int`, though the numbers are the same."""


class Byte(int):
    """A Go `uint8`: what an index into a text yields."""


class TypedList(list[Any]):
    """A Go slice whose elements have one type, such as `[]string`; a plain list is `[]interface {}`."""

    def __init__(self, items: Sequence[Any], element: str) -> None:
        super().__init__(items)
        self.element = element


class TypedDict(dict[str, Any]):
    """A Go map whose values have one type, such as `map[string]string`: a missing key yields `zero`."""

    def __init__(self, items: Mapping[str, Any], element: str, zero: Any) -> None:
        super().__init__(items)
        self.element = element
        self.zero = zero


def type_name(value: Any) -> str:
    """The name of a value's type as Go prints it with `%T`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case Int64():
            return "int64"
        case Byte():
            return "uint8"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case TypedList():
            return f"[]{value.element}"
        case list() | tuple():
            return "[]interface {}"
        case TypedDict():
            return f"map[string]{value.element}"
        case dict():
            return "map[string]interface {}"
    return str(getattr(value, "go_type", type(value).__name__))


def kind_name(value: Any) -> str:
    """The kind of a value's type: `string`, `int`, `float64`, `bool`, `slice`, `map`, `invalid` and so on."""
    if isinstance(value, (list, tuple)):
        return "slice"
    if isinstance(value, dict):
        return "map"
    if value is None:
        return "invalid"
    return str(getattr(value, "go_kind", type_name(value)))


def is_number(value: Any) -> bool:
    """Whether a value is a number; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def float_text(value: float) -> str:
    """A float as Go prints it with `%v`: the shortest digits, an exponent below 1e-4 and from 1e21."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return _with_exponent(value, least=-4, pad=2)


def _with_exponent(value: float, *, least: int, pad: int) -> str:
    """Shortest digits of a finite number; `pad` is the fewest digits of an exponent."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    mantissa, _, power = f"{abs(value):e}".partition("e")
    digits = repr(abs(value)).lower()
    mantissa = _digits(digits)
    exponent = int(power) if value else 0
    if exponent < least or exponent >= 21:
        point = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
        return f"{sign}{mantissa[0]}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):0{pad}d}"
    return sign + _positional(mantissa, exponent)


def _digits(text: str) -> str:
    mantissa = text.partition("e")[0].replace(".", "").lstrip("0").rstrip("0")
    return mantissa or "0"


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    rest = digits[exponent + 1 :]
    return f"{whole}.{rest}" if rest else whole


def show(value: Any) -> str:
    """A value as Go prints it with `%v`: `[1 2]`, `map[a:1]`, `<nil>`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case list() | tuple():
            return f"[{' '.join(show(item) for item in value)}]"
        case dict():
            return f"map[{' '.join(f'{show(key)}:{show(value[key])}' for key in sorted(value))}]"
    return str(value)


def to_json(value: Any, indent: str = "", *, escape_html: bool = True) -> str:
    """A value as Go writes JSON: sorted keys, no spaces without `indent`, and `<`, `>`, `&` escaped.

    Raises ValueError for a number that is not finite, and TypeError for what JSON cannot hold.
    """
    text = _json(value, indent, "\n" if indent else "")
    if not escape_html:
        return text
    for char, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(char, escape)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _json(value: Any, indent: str, line: str) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return _json_float(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\x7f")
        case list() | tuple():
            return _json_block("[]", [_json(item, indent, line + indent) for item in value], indent, line)
        case dict():
            space = ": " if indent else ":"
            pairs = [
                f"{json.dumps(str(key), ensure_ascii=False)}{space}{_json(value[key], indent, line + indent)}"
                for key in sorted(value)
            ]
            return _json_block("{}", pairs, indent, line)
    written = getattr(value, "json_value", None)
    if written is None:
        raise TypeError(f"json: unsupported type: {type_name(value)}")
    return _json(written, indent, line)


def _json_block(brackets: str, items: list[str], indent: str, line: str) -> str:
    if not items:
        return brackets
    inner = line + indent
    return f"{brackets[0]}{inner}{f',{inner}'.join(items)}{line}{brackets[1]}"


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"json: unsupported value: {float_text(value)}")
    return _with_exponent(value, least=-6, pad=1)


def from_json(text: str) -> Any:
    """A JSON text as Go reads it: every number is a float. Raises ValueError."""
    return json.loads(text, parse_int=float, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


def quote(text: str) -> str:
    """A text in double quotes with Go's escapes (`%q`)."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


_NAMED_ESCAPES = dict(zip('\\"\a\b\f\n\r\t\v', ("\\\\", '\\"', *(f"\\{c}" for c in "abfnrtv")), strict=True))


def _escaped(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def equal(left: Any, right: Any) -> bool:
    """Whether two values are equal: numbers by value, lists by element, maps only with the same types."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(equal, left, right))
    return deep_equal(left, right)


def deep_equal(left: Any, right: Any) -> bool:
    """Go's `reflect.DeepEqual`: types count, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(deep_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(deep_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def power(base: float, exponent: float) -> float:
    """`base` to the power of `exponent`, to the last digit as Go computes it: by squaring the mantissa."""
    if not exponent or base == 1:
        return 1.0
    if abs(exponent) == 0.5 and base > 0:
        return math.sqrt(base) if exponent > 0 else 1 / math.sqrt(base)
    if not (math.isfinite(base) and math.isfinite(exponent) and base):
        return _power_of_limits(base, exponent)
    fraction, whole = math.modf(abs(exponent))
    if fraction and base < 0:
        return math.nan
    if whole >= 2**53:
        return _power_of_limits(base, exponent)
    mantissa, scale = 1.0, 0
    if fraction:
        if fraction > 0.5:
            fraction, whole = fraction - 1, whole + 1
        mantissa = math.exp(fraction * math.log(base))
    factor, power_of_two = math.frexp(base)
    rest = int(whole)
    while rest:
        if abs(power_of_two) > 4096:
            scale += power_of_two
            break
        if rest & 1:
            mantissa, scale = mantissa * factor, scale + power_of_two
        factor, power_of_two = factor * factor, power_of_two * 2
        if factor < 0.5:
            factor, power_of_two = factor * 2, power_of_two - 1
        rest >>= 1
    if exponent < 0:
        mantissa, scale = 1 / mantissa, -scale
    try:
        return math.ldexp(mantissa, scale)
    except OverflowError:
        return math.copysign(math.inf, mantissa)


def _power_of_limits(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.nan if base else math.inf


_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_REGEX_TOKEN = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[:\w+:\]|\(\?|\$|[*+?}]\+|\[|\]|.", re.DOTALL)
_GROUP = re.compile(r"\(\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?[:)])")


@lru_cache(maxsize=512)
def regex(pattern: str) -> re.Pattern[str]:
    """A compiled regular expression in Go's syntax, which has no look-around and no back-references.

    Raises ValueError if Go could not compile it.
    """
    out: list[str] = []
    in_class = multiline = False
    for match in _REGEX_TOKEN.finditer(pattern):
        token = match[0]
        if token == "(?" and not in_class:
            group = _GROUP.match(pattern, match.start())
            if not group:
                raise ValueError(f"invalid or unsupported Perl syntax: {pattern[match.start() :]!r}")
            multiline = multiline or ("<" not in group[0] and "m" in group[0].partition("-")[0])
            out.append("(?P" if pattern.startswith("(?<", match.start()) else token)
            continue
        in_class = (in_class or token == "[") and token != "]"
        out.append(_regex_token(token, in_class, multiline))
    try:
        return re.compile("".join(out), re.ASCII)
    except (re.error, OverflowError) as error:
        raise ValueError(f"error parsing regexp: {error}") from error


def _regex_token(token: str, in_class: bool, multiline: bool) -> str:
    if token.startswith("\\Q"):
        return re.escape(token[2:].removesuffix("\\E"))
    if token.startswith("[:") and in_class:
        name = token[2:-2]
        if name not in _POSIX:
            raise ValueError(f"invalid character class range: {token}")
        return _POSIX[name]
    if token == "$" and not in_class and not multiline:
        return r"\Z"
    if len(token) == 2 and token[1] == "+" and token[0] in "*+?}" and not in_class:
        raise ValueError(f"invalid nested repetition operator: {token}")
    if len(token) == 2 and token[0] == "\\":
        if token[1] in "123456789Zku":
            raise ValueError(f"invalid escape sequence: {token}")
        return {"z": r"\Z", "C": "."}.get(token[1], token)
    return token
