"""The `sprig.*` functions of expressions.

Unlike the built-in ones they are looked up when they are called, so neither their names nor their arguments
are checked beforehand. A missing text counts as an empty one, as the engine passes it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import posixpath
import re
import secrets
import string
import uuid
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from argosy.manifest import golang, times
from argosy.manifest.functions import listed, read_json, refuse, unique, write_json
from argosy.manifest.golang import Int64, TypedDict, TypedList
from argosy.manifest.syntax import ExpressionError

_ZERO = {"s": "", "i": 0, "b": False, "f": 0.0, "m": {}}
_TYPES: dict[str, type | tuple[type, ...]] = {"s": str, "i": int, "b": bool, "f": float, "m": dict}
_NAMES = {
    "s": "a text",
    "i": "a whole number",
    "b": "true or false",
    "f": "a number with a point",
    "m": "a map",
}


def call(name: str, arguments: Sequence[Any]) -> Any:
    """The value of `sprig.NAME(...)`. Raises ExpressionError where there is no such function, or it fails."""
    entry = FUNCTIONS.get(name)
    if entry is None:
        known = " for reasons of security" if name in _WITHHELD else ""
        raise ExpressionError(f"there is no function sprig.{name} here{known}")
    spec, function = entry
    return function(*_arguments(name, spec, arguments))


def _arguments(name: str, spec: str, given: Sequence[Any]) -> list[Any]:
    fixed, _, rest = spec.partition("*")
    kinds = fixed + rest * max(0, len(given) - len(fixed))
    if len(given) != len(kinds):
        raise ExpressionError(f"sprig.{name} takes {len(fixed)} arguments, not {len(given)}")
    return [_argument(name, kind, value) for kind, value in zip(kinds, given, strict=True)]


def _argument(name: str, kind: str, value: Any) -> Any:
    if kind == "a":
        return value
    if value is None:
        return _ZERO[kind]
    another: dict[str, tuple[type, ...]] = {"b": (), "i": (bool, Int64)}
    if isinstance(value, another.get(kind, (bool,))) or not isinstance(value, _TYPES[kind]):
        raise ExpressionError(
            f"sprig.{name} takes {_NAMES[kind]}, not {golang.show(value)!r} ({golang.type_name(value)})"
        )
    return value


def to_int(value: Any) -> Int64:
    """A whole number of anything; 0 of what is none."""
    if isinstance(value, (bool, int)):
        return Int64(value)
    if isinstance(value, float):
        return Int64(int(value) if math.isfinite(value) else 0)
    if isinstance(value, str):
        return Int64(_parsed_int(re.sub(r"\.\d*$", "", value)))
    return Int64(0)


def _parsed_int(text: str) -> int:
    try:
        if re.fullmatch(r"[+-]?0[0-7_]+", text):
            return int(text, 8)
        return int(text, 0) if re.fullmatch(r"[+-]?\w+", text) else 0
    except ValueError:
        return 0


def to_float(value: Any) -> float:
    """A float of anything; 0 of what is none."""
    try:
        return float(value) if isinstance(value, (int, float, str)) else 0.0
    except ValueError:
        return 0.0


def empty(value: Any) -> bool:
    """Whether a value is nothing, false, 0 or without content."""
    return value is None or (isinstance(value, (str, list, tuple, dict, int, float)) and not value)


def text_of(value: Any) -> str:
    """A value as text."""
    return golang.show(value)


def _texts(values: Any) -> TypedList:
    found = values if isinstance(values, (list, tuple)) else [] if values is None else [values]
    return TypedList([text_of(value) for value in found if value is not None], "string")


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", re.sub(r"[-_ ]+", " ", text))


def _camel(text: str) -> str:
    parts = re.split(r"[-_ ]+", text)
    return "".join(part[:1].upper() + (part[1:].lower() if part.isupper() else part[1:]) for part in parts)


def _substring(start: int, end: int, text: str) -> str:
    data = text.encode()
    first, last = (0, end) if start < 0 else (start, end if 0 <= end <= len(data) else len(data))
    return _bytes(data, first, last)


def _bytes(data: bytes, first: int, last: int) -> str:
    """A part of a text, counted in bytes as the engine does. Raises ExpressionError beyond its end."""
    if not 0 <= first <= last <= len(data):
        raise ExpressionError(f"there are no bytes {first} to {last} of {len(data)}")
    return data[first:last].decode("utf-8", "replace")


def _truncated(count: int, text: str) -> str:
    data = text.encode()
    if count < 0 and len(data) + count > 0:
        return _bytes(data, len(data) + count, len(data))
    return _bytes(data, 0, count) if 0 <= count < len(data) else text


def _wrapped(width: int, separator: str, text: str, *, broken: bool = True) -> str:
    """Lines of at most so many bytes, broken at spaces; a longer word is `broken` or sticks out."""
    data, done, at, width = text.encode(), list[bytes](), 0, max(width, 1)
    while len(data) - at > width:
        if data[at : at + 1] == b" ":
            at += 1
            continue
        space = data.rfind(b" ", at, at + width + 1)
        if space < 0:
            space = at + width if broken else data.find(b" ", at + width)
        if space < 0:
            break
        done.append(data[at:space])
        at = space + (data[space : space + 1] == b" " and not (broken and space == at + width))
    return (separator or "\n").encode().join([*done, data[at:]]).decode("utf-8", "replace")


def _title(text: str) -> str:
    """The text with a capital behind what is neither letter nor digit nor `_`, as Go understands words."""
    found, before = [], " "
    for char in text:
        apart = not (before.isalnum() or before == "_") if before.isascii() else before in golang.SPACES
        found.append(golang.upper(char) if apart else char)
        before = char
    return "".join(found)


def _untitle(text: str) -> str:
    return re.sub(r"(^|[\s])(\w)", lambda match: match[1] + match[2].lower(), text)


def _cat(*values: Any) -> str:
    return " ".join(text_of(value) for value in values if value is not None).strip()


def _indent(spaces: int, text: str) -> str:
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


def _sequence(start: int, stop: int, step: int) -> TypedList:
    return TypedList([] if not step else range(start, stop, step), "int")


def _seq(*given: int) -> str:
    if not given or len(given) > 3:
        return ""
    start = 1 if len(given) == 1 else given[0]
    end = given[-1]
    step = given[1] if len(given) == 3 else 1 if end >= start else -1
    if not step:
        return ""
    return " ".join(map(str, range(start, end + (1 if step > 0 else -1), step)))


def _folded(how: Callable[[int, int], int]) -> Callable[..., Int64]:
    def fold(first: Any, *rest: Any) -> Int64:
        total = int(to_int(first))
        for value in rest:
            total = how(total, int(to_int(value)))
        return Int64(total)

    return fold


def _folded_floats(how: Callable[[float, float], float]) -> Callable[..., float]:
    def fold(first: Any, *rest: Any) -> float:
        total = to_float(first)
        for value in rest:
            total = how(total, to_float(value))
        return total

    return fold


def _divided(left: int, right: int) -> int:
    if not right:
        raise ExpressionError("a division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _whole(how: Callable[[float], int], value: float) -> float:
    return float(how(value)) if math.isfinite(value) else value


def _rounded(value: Any, places: int, *at: float) -> float:
    scaled = to_float(value) * 10.0**places
    fraction = math.modf(scaled)[0]
    up = fraction >= (at[0] if at else 0.5)
    return float(math.ceil(scaled) if up else math.floor(scaled)) / 10.0**places


def _keyed(separator: str, text: str, limit: int = 0) -> TypedDict:
    parts = text.split(separator, limit - 1 if limit > 0 else -1) if separator else list(text)
    return TypedDict({f"_{at}": part for at, part in enumerate(parts)}, "string", "")


def _dict(*given: Any) -> dict[str, Any]:
    found = {}
    for at in range(0, len(given), 2):
        found[text_of(given[at])] = given[at + 1] if at + 1 < len(given) else ""
    return found


def _set(base: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    base[key] = value
    return base


def _unset(base: dict[str, Any], key: str) -> dict[str, Any]:
    base.pop(key, None)
    return base


def _dig(*given: Any) -> Any:
    if len(given) < 3:
        raise ExpressionError("sprig.dig takes a name, a default and a map at least")
    *names, fallback, base = given
    for name in names:
        if not isinstance(base, dict):
            raise refuse("sprig.dig", base)
        if name not in base:
            return fallback
        base = base[name]
    return base


def _merged(base: dict[str, Any], *others: dict[str, Any], overwrite: bool = False) -> dict[str, Any]:
    for other in others:
        for key, value in other.items():
            if isinstance(base.get(key), dict) and isinstance(value, dict):
                _merged(base[key], value, overwrite=overwrite)
            elif overwrite or empty(base.get(key)):
                base[key] = value
    return base


def _list(name: str, how: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose first argument is a list."""
    return lambda values, *rest: how(listed(f"sprig.{name}", values), *rest)


def _has(needle: Any, values: Any) -> bool:
    if values is None:
        return False
    return any(golang.deep_equal(needle, value) for value in listed("sprig.has", values))


def _without(values: list[Any], *omitted: Any) -> list[Any]:
    return [value for value in values if not any(golang.deep_equal(value, other) for other in omitted)]


def _cut(values: list[Any], *bounds: Any) -> list[Any] | None:
    if not values:
        return None
    first, last = [*(int(to_int(bound)) for bound in bounds[:2]), *(0, len(values))[len(bounds[:2]) :]]
    if not 0 <= first <= last <= len(values):
        raise ExpressionError(f"there are no elements {first} to {last} of {len(values)}")
    return values[first:last]


def _chunks(size: int, values: Any) -> list[Any]:
    items = listed("sprig.chunk", values)
    if size <= 0:
        raise ExpressionError(f"sprig.chunk makes no pieces of {size} elements")
    return [items[at : at + size] for at in range(0, len(items), size)]


def _concat(*lists: Any) -> list[Any]:
    return [item for values in lists for item in listed("sprig.concat", values)]


def _regex(pattern: str) -> re.Pattern[str]:
    try:
        return golang.regex(pattern)
    except ValueError as error:
        raise ExpressionError(f"{pattern!r} is no regular expression: {error}") from error


def _replace_all(pattern: str, text: str, replacement: str) -> str:
    def expand(match: re.Match[str]) -> str:
        return re.sub(r"\$(?:\{(\w+)\}|(\w+)|(\$))", lambda tag: _group(match, tag), replacement)

    return _replaced(pattern, text, expand)


def _replaced(pattern: str, text: str, new: Callable[[re.Match[str]], str]) -> str:
    pieces, at = [], 0
    for match in golang.matches(_regex(pattern), text):
        pieces += [text[at : match.start()], new(match)]
        at = match.end()
    return "".join([*pieces, text[at:]])


def _group(match: re.Match[str], tag: re.Match[str]) -> str:
    if tag[3]:
        return "$"
    name = tag[1] or tag[2]
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except (IndexError, KeyError):
        return ""


def _replace_literally(pattern: str, text: str, new: str) -> str:
    return _replaced(pattern, text, lambda _: new)


def _find_all(pattern: str, text: str, count: int) -> TypedList:
    found = [match[0] for match in golang.matches(_regex(pattern), text)]
    return TypedList(found if count < 0 else found[:count], "string")


def _find(pattern: str, text: str) -> str:
    match = _regex(pattern).search(text)
    return match[0] if match else ""


def _split_by(pattern: str, text: str, count: int) -> TypedList:
    if not count:
        return TypedList([], "string")
    pieces: list[str] = []
    at = 0
    for match in golang.matches(_regex(pattern), text):
        if 0 < count <= len(pieces) + 1:
            break
        if match[0] or (match.end() and match.start() < len(text)):
            pieces.append(text[at : match.start()])
            at = match.end()
    return TypedList([*pieces, text[at:]], "string")


def _decode(how: Callable[[str], bytes | str]) -> Callable[[str], str]:
    """A decoder that, as sprig's, yields the error's text for what it cannot decode."""

    def decode(text: str) -> str:
        try:
            found = how(text)
            return found if isinstance(found, str) else found.decode("utf-8", "replace")
        except (binascii.Error, ValueError) as error:
            return str(error)

    return decode


def _url_parse(text: str) -> dict[str, Any]:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ExpressionError(f"{text!r} is no address: {error}") from error
    userinfo, at, host = parts.netloc.rpartition("@")
    return {
        "scheme": parts.scheme,
        "userinfo": userinfo if at else "",
        "host": host,
        "hostname": host.partition(":")[0],
        "path": parts.path,
        "query": parts.query,
        "fragment": parts.fragment,
        "opaque": "" if parts.netloc or not parts.scheme else parts.path,
    }


def _url_join(parts: dict[str, Any]) -> str:
    host = str(parts.get("host", ""))
    user = str(parts.get("userinfo", ""))
    place = f"{user}@{host}" if user else host
    return str(
        urlunsplit(
            [
                str(parts.get("scheme", "")),
                place,
                *(str(parts.get(k, "")) for k in ("path", "query", "fragment")),
            ]
        )
    )


class _Version:
    """A semantic version; its numbers are functions, as the engine has them."""

    go_type = "*semver.Version"

    def __init__(self, text: str) -> None:
        found = re.fullmatch(
            r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?", text
        )
        if found is None:
            raise ExpressionError(f"{text!r} is no semantic version")
        self.numbers = tuple(int(part or 0) for part in found.groups()[:3])
        self.prerelease, self.metadata = found[4] or "", found[5] or ""

    def __str__(self) -> str:
        tail = (f"-{self.prerelease}" if self.prerelease else "") + (
            f"+{self.metadata}" if self.metadata else ""
        )
        return ".".join(map(str, self.numbers)) + tail

    def method(self, name: str) -> Callable[[], Any]:
        """One of its parts by name."""
        parts = dict(zip(("Major", "Minor", "Patch"), self.numbers, strict=True))
        texts = {"Prerelease": self.prerelease, "Metadata": self.metadata, "String": str(self)}
        if name not in parts and name not in texts:
            raise ExpressionError(f"a semantic version has no {name!r}")
        return lambda: parts[name] if name in parts else texts[name]

    def key(self) -> tuple[Any, ...]:
        """The order of versions: a release comes after what precedes it."""
        pre = [
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in self.prerelease.split(".")
            if part
        ]
        return (*self.numbers, not self.prerelease, pre)


def _version_fits(constraint: str, text: str) -> bool:
    version = _Version(text)
    constraint = re.sub(r"(\S+)\s+-\s+(\S+)", r">=\1 <=\2", constraint)
    return any(
        all(_fits(part, version) for part in re.findall(r"(?:[<>=!~^]+\s*)?[\w.*+-]+", alternative))
        for alternative in constraint.split("||")
    )


def _fits(part: str, version: _Version) -> bool:
    found = re.fullmatch(r"([<>=!~^]*)\s*v?([\w.*+-]+)", part)
    if found is None:
        raise ExpressionError(f"{part!r} is no constraint of versions")
    sign, given = found[1], re.split(r"[.](?=[xX*]|$)", found[2])[0]
    if given in ("*", "x", "X"):
        return True
    wanted = _Version(given)
    count = len(given.split("-")[0].split("."))
    if version.prerelease and not wanted.prerelease:
        return False
    if sign in ("", "=") and count < 3:
        return version.numbers[:count] == wanted.numbers[:count]
    ours, theirs = version.key(), wanted.key()
    if sign in ("~", "^"):
        fixed = (
            min(count, 2)
            if sign == "~"
            else next((at + 1 for at, n in enumerate(wanted.numbers) if n), count)
        )
        return ours >= theirs and version.numbers[:fixed] == wanted.numbers[:fixed]
    if count < 3 and sign in ("!=", ">", "<="):  # of a version in part, all that begin so are meant
        ours, theirs = (version.numbers[:count],), (wanted.numbers[:count],)
    compare = {"": ours == theirs, "=": ours == theirs, "!=": ours != theirs, ">": ours > theirs}
    return {**compare, "<": ours < theirs, ">=": ours >= theirs, "<=": ours <= theirs}.get(sign, False)


def _moment(value: Any) -> datetime:
    if isinstance(value, times.Time):
        return value.moment
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(int(value), timezone.utc)
    return datetime.now(timezone.utc)


def _date_in_zone(layout: str, value: Any, zone: str) -> str:
    try:
        where = times.zone(zone)
    except ExpressionError:
        where = timezone.utc
    return times.write(_moment(value).astimezone(where), layout)


def _to_date(layout: str, text: str) -> times.Time:
    moment = times.read(text, layout, timezone.utc)
    return times.Time(moment if moment else datetime(1, 1, 1, tzinfo=timezone.utc))


def _date_modify(length: str, value: Any) -> times.Time:
    if not isinstance(value, times.Time):
        raise refuse("sprig.dateModify", value)
    try:
        return value.plus(times.duration(length))
    except ExpressionError:
        return value


def _ago(value: Any) -> str:
    seconds = (datetime.now(timezone.utc) - _moment(value)).total_seconds()
    return str(times.Duration(round(seconds) * 10**9))


def _fail(message: str) -> Any:
    raise ExpressionError(message)


def _random(alphabet: str) -> Callable[[int], str]:
    return lambda count: "".join(secrets.choice(alphabet) for _ in range(count))


def _shuffled(text: str) -> str:
    characters = list(text)
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def _json_or_nothing(text: str) -> Any:
    try:
        return read_json(text)
    except ExpressionError:
        return None


def _decimal(value: Any) -> Int64:
    text = text_of(value)
    return Int64(int(text, 8) if re.fullmatch(r"[0-7]+", text) else 0)


def _hash(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _quoted(*values: Any) -> str:
    return " ".join(golang.quote(text_of(value)) for value in values if value is not None)


def _single_quoted(*values: Any) -> str:
    return " ".join(f"'{text_of(value)}'" for value in values if value is not None)


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path) if path else "."
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _ends(name: str, at: int) -> Callable[[Any], Any]:
    return _list(name, lambda values: values[at] if values else None)


def _abbreviated(width: int, text: str) -> str:
    return _abbreviated_at_both_ends(0, width, text)


def _abbreviated_at_both_ends(left: int, width: int, text: str) -> str:
    """At most so many bytes of a text, the first of them from `left` on."""
    data = text.encode()
    if width < 4 or (left > 0 and width < 7) or len(data) <= width:
        return text
    left = min(left, len(data))
    if len(data) - left < width - 3:
        left = len(data) - (width - 3)
    if left <= 4:
        return _bytes(data, 0, width - 3) + "..."
    if left + width - 3 < len(data):
        return "..." + _abbreviated(width - 3, _bytes(data, left, len(data)))
    return "..." + _bytes(data, len(data) - (width - 3), len(data))


def _repeated(count: int, text: str) -> str:
    if not 0 <= count * max(len(text), 1) <= 10**8:
        raise ExpressionError(f"sprig.repeat cannot repeat {count} times")
    return text * count


_AGES = (("y", 365 * 86400), ("mo", 30 * 86400), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def _coarse(value: Any) -> str:
    """A length of time in its largest unit."""
    length = 0
    if isinstance(value, str):
        try:
            length = times.duration(value).nanoseconds
        except ExpressionError:
            length = 0
    elif isinstance(value, Int64):
        length = int(value)
    elif isinstance(value, times.Time):
        length = times.now().minus(value).nanoseconds
    for unit, seconds in _AGES:
        if abs(length) > seconds * 10**9:
            return f"{abs(length) // (seconds * 10**9)}{unit}"
    return "0s"


def _in_seconds(value: Any) -> str:
    """A number of seconds, of a text or an int64, as a duration."""
    number = int(value) if isinstance(value, Int64) else 0
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value):
        number = int(value)
    return str(times.Duration(number * 10**9))


def _surely_modified(length: str, value: Any) -> times.Time:
    if not isinstance(value, times.Time):
        raise refuse("sprig.mustDateModify", value)
    return value.plus(times.duration(length))


def _surely_date(layout: str, text: str) -> times.Time:
    moment = times.read(text, layout, timezone.utc)
    if moment is None:
        raise ExpressionError(f"{text!r} is no date in the layout {layout!r}")
    return times.Time(moment)


def _raw_json(value: Any) -> str:
    try:
        return golang.to_json(value, escape_html=False)
    except (ValueError, TypeError) as error:
        raise ExpressionError(str(error)) from error


Entry = tuple[str, Callable[..., Any]]


def _plain() -> dict[str, Entry]:
    """Texts, numbers and tests."""
    return {
        "abbrev": ("is", _abbreviated),
        "trunc": ("is", _truncated),
        "abbrevboth": ("iis", _abbreviated_at_both_ends),
        "trim": ("s", lambda text: text.strip(golang.SPACES)),
        "upper": ("s", golang.upper),
        "lower": ("s", golang.lower),
        "title": ("s", _title),
        "untitle": ("s", _untitle),
        "substr": ("iis", _substring),
        "repeat": ("is", _repeated),
        "trimAll": ("ss", lambda characters, text: text.strip(characters)),
        "trimall": ("ss", lambda characters, text: text.strip(characters)),
        "trimSuffix": ("ss", lambda suffix, text: text.removesuffix(suffix)),
        "trimPrefix": ("ss", lambda prefix, text: text.removeprefix(prefix)),
        "nospace": ("s", lambda text: "".join(char for char in text if char not in golang.SPACES)),
        "initials": ("s", lambda text: "".join(word[0] for word in text.split())),
        "swapcase": ("s", str.swapcase),
        "shuffle": ("s", _shuffled),
        "snakecase": ("s", lambda text: "_".join(word.lower() for word in _words(text))),
        "kebabcase": ("s", lambda text: "-".join(word.lower() for word in _words(text))),
        "camelcase": ("s", _camel),
        "wrap": ("is", lambda width, text: _wrapped(width, "\n", text, broken=False)),
        "wrapWith": ("iss", _wrapped),
        "contains": ("ss", lambda part, text: part in text),
        "hasPrefix": ("ss", lambda part, text: text.startswith(part)),
        "hasSuffix": ("ss", lambda part, text: text.endswith(part)),
        "quote": ("*a", _quoted),
        "squote": ("*a", _single_quoted),
        "cat": ("*a", _cat),
        "indent": ("is", _indent),
        "nindent": ("is", lambda spaces, text: "\n" + _indent(spaces, text)),
        "replace": ("sss", lambda old, new, text: text.replace(old, new)),
        "plural": ("ssi", lambda one, many, count: one if count == 1 else many),
        **{name: ("s", _hash(name.removesuffix("sum"))) for name in ("sha1sum", "sha256sum", "sha512sum")},
        "adler32sum": ("s", lambda text: str(zlib.adler32(text.encode()))),
        "toString": ("a", text_of),
        "atoi": ("s", lambda text: int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else 0),
        "int64": ("a", to_int),
        "int": ("a", lambda value: int(to_int(value))),
        "float64": ("a", to_float),
        "toDecimal": ("a", _decimal),
        "seq": ("*i", _seq),
        "until": ("i", lambda count: _sequence(0, count, 1 if count >= 0 else -1)),
        "untilStep": ("iii", _sequence),
        "add1": ("a", lambda value: Int64(to_int(value) + 1)),
        "add": ("*a", lambda *values: Int64(sum(int(to_int(value)) for value in values))),
        "sub": ("aa", _folded(lambda a, b: a - b)),
        "div": ("aa", _folded(_divided)),
        "mod": ("aa", _folded(lambda left, right: left - right * _divided(left, right))),
        "mul": ("a*a", _folded(lambda a, b: a * b)),
        "add1f": ("a", lambda value: to_float(value) + 1),
        "addf": ("a*a", _folded_floats(lambda a, b: a + b)),
        "subf": ("a*a", _folded_floats(lambda a, b: a - b)),
        "mulf": ("a*a", _folded_floats(lambda a, b: a * b)),
        "divf": ("a*a", _folded_floats(lambda a, b: a / b if b else math.copysign(math.inf, a))),
        "max": ("a*a", _folded(max)),
        "biggest": ("a*a", _folded(max)),
        "min": ("a*a", _folded(min)),
        "maxf": ("a*a", _folded_floats(max)),
        "minf": ("a*a", _folded_floats(min)),
        "ceil": ("a", lambda value: _whole(math.ceil, to_float(value))),
        "floor": ("a", lambda value: _whole(math.floor, to_float(value))),
        "round": ("ai*f", _rounded),
        "default": ("a*a", lambda fallback, *given: fallback if not given or empty(given[0]) else given[0]),
        "empty": ("a", empty),
        "coalesce": ("*a", lambda *values: next((value for value in values if not empty(value)), None)),
        "all": ("*a", lambda *values: not any(map(empty, values))),
        "any": ("*a", lambda *values: not all(map(empty, values))),
        "ternary": ("aab", lambda yes, no, which: yes if which else no),
        "typeOf": ("a", golang.type_name),
        "typeIs": ("sa", lambda name, value: golang.type_name(value) == name),
        "typeIsLike": ("sa", lambda name, value: golang.type_name(value).lstrip("*") == name),
        "kindOf": ("a", golang.kind_name),
        "kindIs": ("sa", lambda name, value: golang.kind_name(value) == name),
        "deepEqual": ("aa", golang.deep_equal),
        "fail": ("s", _fail),
    }


def _structured() -> dict[str, Entry]:
    """Lists, maps and JSON."""
    return {
        "split": ("ss", _keyed),
        "splitn": ("sis", lambda separator, limit, text: _keyed(separator, text, limit)),
        "splitList": ("ss", lambda s, text: TypedList(text.split(s) if s else list(text), "string")),
        "toStrings": ("a", _texts),
        "join": ("sa", lambda separator, values: separator.join(_texts(values))),
        "sortAlpha": ("a", lambda values: TypedList(sorted(_texts(values)), "string")),
        "list": ("*a", lambda *values: list(values)),
        "tuple": ("*a", lambda *values: list(values)),
        "dict": ("*a", _dict),
        "get": ("ms", lambda base, key: base.get(key, "")),
        "set": ("msa", _set),
        "unset": ("ms", _unset),
        "hasKey": ("ms", lambda base, key: key in base),
        "pluck": ("s*m", lambda key, *bases: [base[key] for base in bases if key in base]),
        "keys": ("*m", lambda *bases: TypedList([key for base in bases for key in base], "string")),
        "pick": ("m*s", lambda base, *keys: {key: base[key] for key in keys if key in base}),
        "omit": ("m*s", lambda base, *keys: {key: value for key, value in base.items() if key not in keys}),
        "merge": ("m*m", _merged),
        "mergeOverwrite": ("m*m", lambda *bases: _merged(*bases, overwrite=True)),
        "values": ("m", lambda base: list(base.values())),
        "dig": ("*a", _dig),
        "deepCopy": ("a", lambda value: value),
        "append": ("aa", _list("append", lambda values, value: [*values, value])),
        "push": ("aa", _list("push", lambda values, value: [*values, value])),
        "prepend": ("aa", _list("prepend", lambda values, value: [value, *values])),
        "first": ("a", _ends("first", 0)),
        "last": ("a", _ends("last", -1)),
        "rest": ("a", _list("rest", lambda values: values[1:] if values else None)),
        "initial": ("a", _list("initial", lambda values: values[:-1] if values else None)),
        "reverse": ("a", _list("reverse", lambda values: values[::-1])),
        "uniq": ("a", unique),
        "without": ("a*a", _list("without", _without)),
        "has": ("aa", _has),
        "slice": ("a*a", _list("slice", _cut)),
        "concat": ("*a", _concat),
        "compact": ("a", _list("compact", lambda values: [value for value in values if not empty(value)])),
        "chunk": ("ia", _chunks),
        "fromJson": ("s", _json_or_nothing),
        "toJson": ("a", write_json),
        "toPrettyJson": ("a", lambda value: write_json(value, "  ")),
        "toRawJson": ("a", _raw_json),
        "mustToRawJson": ("a", _raw_json),
    }


_PATHS: dict[str, Entry] = {
    "base": ("s", lambda path: posixpath.basename(path.rstrip("/")) or ("/" if path else ".")),
    "dir": ("s", lambda path: _clean(posixpath.dirname(path))),
    "clean": ("s", _clean),
    "ext": ("s", lambda path: (re.search(r"\.[^./]*$", path) or [""])[0]),
    "isAbs": ("s", posixpath.isabs),
}


def _others() -> dict[str, Entry]:
    """Paths, encodings, regular expressions, addresses, versions, times and chance."""
    return {
        **_PATHS,
        **{f"os{name[0].upper()}{name[1:]}": entry for name, entry in _PATHS.items()},
        "b64enc": ("s", lambda text: base64.b64encode(text.encode()).decode()),
        "b64dec": ("s", _decode(golang.from_base64)),
        "b32enc": ("s", lambda text: base64.b32encode(text.encode()).decode()),
        "b32dec": ("s", _decode(base64.b32decode)),
        "regexMatch": ("ss", lambda pattern, text: _regex(pattern).search(text) is not None),
        "regexFindAll": ("ssi", _find_all),
        "regexFind": ("ss", _find),
        "regexReplaceAll": ("sss", _replace_all),
        "regexReplaceAllLiteral": ("sss", _replace_literally),
        "regexSplit": ("ssi", _split_by),
        "regexQuoteMeta": ("s", lambda text: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)),
        "urlParse": ("s", _url_parse),
        "urlJoin": ("m", _url_join),
        "semver": ("s", _Version),
        "semverCompare": ("ss", _version_fits),
        "now": ("", times.now),
        "date": ("sa", lambda layout, value: _date_in_zone(layout, value, "UTC")),
        "dateInZone": ("sas", _date_in_zone),
        "date_in_zone": ("sas", _date_in_zone),
        "dateModify": ("sa", _date_modify),
        "date_modify": ("sa", _date_modify),
        "htmlDate": ("a", lambda value: _date_in_zone("2006-01-02", value, "UTC")),
        "htmlDateInZone": ("as", lambda value, zone: _date_in_zone("2006-01-02", value, zone)),
        "toDate": ("ss", _to_date),
        "unixEpoch": ("a", lambda value: str(int(_moment(value).timestamp()))),
        "ago": ("a", _ago),
        "duration": ("a", _in_seconds),
        "durationRound": ("a", _coarse),
        "mustToDate": ("ss", _surely_date),
        **dict.fromkeys(("mustDateModify", "must_date_modify"), ("sa", _surely_modified)),
        "hello": ("", lambda: "Hello!"),
        "uuidv4": ("", lambda: str(uuid.uuid4())),
        "randAlphaNum": ("i", _random(string.ascii_letters + string.digits)),
        "randAlpha": ("i", _random(string.ascii_letters)),
        "randNumeric": ("i", _random(string.digits)),
        "randAscii": ("i", _random("".join(map(chr, range(32, 127))))),
        "randInt": ("ii", lambda least, most: least + secrets.randbelow(max(most - least, 1))),
        "randBytes": ("i", lambda count: base64.b64encode(secrets.token_bytes(count)).decode()),
    }


_WITHHELD = frozenset({"env", "expandenv", "getHostByName"})


_ALSO_MUST = (
    *("append", "push", "prepend", "first", "last", "rest", "initial", "reverse", "uniq", "without", "has"),
    *("slice", "compact", "chunk", "merge", "mergeOverwrite", "deepCopy", "toJson", "toPrettyJson"),
    *("regexMatch", "regexFindAll", "regexFind", "regexReplaceAll", "regexReplaceAllLiteral", "regexSplit"),
)


def _functions() -> dict[str, Entry]:
    found = {**_plain(), **_structured(), **_others()}
    twins = {f"must{name[0].upper()}{name[1:]}": found[name] for name in _ALSO_MUST}
    return {**found, **twins, "mustFromJson": ("s", read_json)}


FUNCTIONS = _functions()
"""What each function takes (s text, i int, b bool, f float, m map, a anything), and what computes it."""
