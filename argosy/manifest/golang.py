"""Values and texts as the engine's language, Go, treats them.

Argo's expressions and conditions are evaluated by Go programs, so what a number looks like as text, what a
regular expression may hold and when two values are equal are Go's rules, not Python's.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
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
            return json.dumps(value, ensure_ascii=False)
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
    value = json.loads(text, parse_int=_finite, parse_float=_finite, parse_constant=_no_constant)
    return _without_surrogates(value) if "\\u" in text else value


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"cannot unmarshal number {digits} into Go value of type float64")
    return number


def _without_surrogates(value: Any) -> Any:
    """A value whose halves of surrogate pairs are the sign for what cannot be decoded."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Characters that are white space to Go."""


def upper(text: str) -> str:
    """A text in capitals, each character by itself: `ß` has none of one character."""
    return text.upper() if text.isascii() else "".join(map(_upper, text))


def _upper(char: str) -> str:
    return next((one for one in (char.upper(), char.title()) if len(one) == 1), char)


def lower(text: str) -> str:
    """A text in small letters, each character by itself."""
    return text.lower() if text.isascii() else "".join(char.lower()[0] for char in text)


def from_base64(text: str) -> str:
    """The text behind base64, whose lines may be broken. Raises ValueError with Go's own words."""
    data = text.encode()
    plain = data.translate(None, b"\r\n")
    body = plain.rstrip(b"=")
    bad = re.search(rb"[^A-Za-z0-9+/]", body)
    if bad or len(plain) % 4 or len(plain) - len(body) > 2:
        at = data.index(bad[0]) if bad else len(data) if len(plain) % 4 == 0 else len(plain) // 4 * 4
        raise ValueError(f"illegal base64 data at input byte {at}")
    return base64.b64decode(plain).decode("utf-8", "replace")


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
_REGEX_TOKEN = re.compile(
    r"\\Q.*?(?:\\E|$)|\\[pP](?:\{\^?\w+\}|\w)|\\x\{[0-9A-Fa-f]+\}|\\.|\[:\^?\w+:\]|\(\?|\$"
    r"|[*+?}]\+|\{\d+(?:,\d*)?\}|\{|\[\^?\]?|\]|.",
    re.DOTALL,
)
_GROUP = re.compile(r"\(\?(?:P?<\w+>|(?P<on>[ims]*)(?:-(?P<off>[ims]+))?(?P<end>[:)]))")
_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_MOST_REPEATED = 1000


@lru_cache(maxsize=512)
def regex(pattern: str) -> re.Pattern[str]:
    """A compiled regular expression in Go's syntax, which has no look-around and no back-references.

    Raises ValueError if Go could not compile it.
    """
    try:
        return re.compile(_Regex(pattern).translated())
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"error parsing regexp: {error}") from error


class _Regex:
    """One regular expression of Go's, on its way to Python's syntax."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._in_class = False
        self._multiline = [False]  # of each group that is open
        self._opened = [0]  # groups in each of them that flags in their middle opened

    def translated(self) -> str:
        """The same in Python's syntax."""
        done, end = list[str](), 0
        for match in _REGEX_TOKEN.finditer(self._pattern):
            if match.start() < end:
                continue
            end = match.end()
            if match[0] == "(?" and not self._in_class:
                group = _GROUP.match(self._pattern, match.start())
                if group is None:
                    unread = self._pattern[match.start() :]
                    raise ValueError(f"invalid or unsupported Perl syntax: {unread!r}")
                end = group.end()
                done.append(self._group(group))
            else:
                done.append(self._token(match[0]))
        return "".join(done) + ")" * self._opened[0]

    def _group(self, group: re.Match[str]) -> str:
        if group["end"] is None:
            self._open()
            return group[0] if group[0].startswith("(?P") else f"(?P{group[0][2:]}"
        on, off = group["on"], group["off"] or ""
        if group["end"] == ":":
            self._open()
        else:  # the rest of the group around it
            self._opened[-1] += 1
        self._multiline[-1] = (self._multiline[-1] or "m" in on) and "m" not in off
        minus = f"-{off}" if off else ""
        return f"(?{''.join(sorted(set(on) - set(off)))}{minus}:"

    def _open(self) -> None:
        self._multiline.append(self._multiline[-1])
        self._opened.append(0)

    def _token(self, token: str) -> str:
        if token.startswith("\\"):
            return self._escape(token)
        if self._in_class:
            return self._in_brackets(token)
        if token[0] == "[":
            self._in_class = True
            return token.replace("]", r"\]")  # the first of a class is itself
        if token == "(":
            self._open()
        elif token == ")" and len(self._opened) > 1:
            self._multiline.pop()
            return ")" * (1 + self._opened.pop())
        elif token == "$" and not self._multiline[-1]:
            return r"\Z"
        elif token[1:] == "+":
            raise ValueError(f"invalid nested repetition operator: {token}")
        elif token == "{":  # one that counts nothing
            return r"\{"
        elif token[0] == "{" and any(int(n) > _MOST_REPEATED for n in re.findall(r"\d+", token)):
            raise ValueError(f"invalid repeat count: {token}")
        return token

    def _in_brackets(self, token: str) -> str:
        if token == "]":
            self._in_class = False
        elif token.startswith("[:"):
            name = token[2:-2].removeprefix("^")
            if name not in _POSIX:
                raise ValueError(f"invalid character class range: {token}")
            return _complement(_POSIX[name]) if token[2] == "^" else _POSIX[name]
        elif token[0] == "[":
            return token.replace("[", r"\[").replace("]", self._closed()) if "]" in token else rf"\{token}"
        return rf"\{token}" if token in ("&", "~", "|") else token  # two would be Python's own operators

    def _closed(self) -> str:
        self._in_class = False
        return "]"

    def _escape(self, token: str) -> str:
        kind = token[1:2]
        if kind == "Q" and not self._in_class:
            return re.escape(token[2:].removesuffix("\\E"))
        if kind in ("p", "P") and len(token) > 2:
            name = token[2:].strip("{}")
            ranges = _category(name.removeprefix("^"))
            return self._class(ranges, other=(kind == "P") != name.startswith("^"))
        if token.startswith(r"\x{"):
            return re.escape(chr(int(token[3:-1], 16)))
        if kind.lower() in _CLASSES:
            return self._class(_CLASSES[kind.lower()], other=kind.isupper())
        if kind in ("b", "B") and not self._in_class:
            return f"(?a:{token})"
        if kind and kind in "123456789ZkuUN":
            raise ValueError(f"invalid escape sequence: {token}")
        return {"z": r"\Z", "C": "."}.get(kind, token)

    def _class(self, ranges: str, *, other: bool) -> str:
        if self._in_class:
            return _complement(ranges) if other else ranges
        return f"[{'^' if other else ''}{ranges}]"


@lru_cache(maxsize=64)
def _complement(ranges: str) -> str:
    """All characters that are not in a class, as ranges."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    return "".join(_range(run.start(), run.end() - 1) for run in re.finditer(f"[^{ranges}]+", every))


@lru_cache(maxsize=64)
def _category(name: str) -> str:
    """The characters of a general category such as `L` or `Lu`, as ranges. Raises ValueError."""
    found = "".join(_range(first, last) for kind, first, last in _categories() if kind.startswith(name))
    if not found or len(name) > 2:
        raise ValueError(f"invalid or unsupported character class: {name!r}")
    return found


@lru_cache(maxsize=1)
def _categories() -> list[tuple[str, int, int]]:
    """Runs of characters of one general category."""
    runs, at = [], 0
    for kind, run in groupby(map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))):
        first, at = at, at + sum(1 for _ in run)
        runs.append((kind, first, at - 1))
    return runs


def _range(first: int, last: int) -> str:
    return f"\\U{first:08x}-\\U{last:08x}"


def matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """All matches one after the other; to Go, an empty one right behind another is none."""
    end = -1
    for match in pattern.finditer(text):
        if match[0] or match.start() != end:
            yield match
        end = match.end()
