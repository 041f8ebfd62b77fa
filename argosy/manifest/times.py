"""Times and durations of expressions, with Go's ways of writing them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from functools import total_ordering
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from argosy.manifest.syntax import ExpressionError

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h)")

METHODS: dict[str, dict[str, str]] = {
    "duration": {
        **dict.fromkeys(("Hours", "Minutes", "Seconds"), "float"),
        **dict.fromkeys(("Milliseconds", "Microseconds", "Nanoseconds"), "int"),
        "String": "string",
        "Abs": "duration",
        "Round": "duration",
        "Truncate": "duration",
    },
    "time": {
        **dict.fromkeys(("Year", "Day", "Hour", "Minute", "Second", "Nanosecond", "YearDay"), "int"),
        **dict.fromkeys(("Unix", "UnixMilli", "UnixMicro", "UnixNano"), "int"),
        **dict.fromkeys(("Month", "Weekday"), "any"),
        **dict.fromkeys(("After", "Before", "Equal", "IsZero"), "bool"),
        **dict.fromkeys(("Add", "AddDate", "In", "UTC", "Local", "Round", "Truncate"), "time"),
        "Compare": "int",
        "Sub": "duration",
        "String": "string",
        "Format": "string",
    },
}
"""Methods and the types of their results, by the type that has them."""


@total_ordering
class Duration:
    """A length of time in whole nanoseconds."""

    go_type: ClassVar[str] = "time.Duration"
    go_kind: ClassVar[str] = "int64"

    def __init__(self, nanoseconds: int) -> None:
        self.nanoseconds = nanoseconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.nanoseconds == other.nanoseconds

    def __lt__(self, other: Duration) -> bool:
        return self.nanoseconds < other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    @property
    def json_value(self) -> int:
        """Its form in JSON."""
        return self.nanoseconds

    def __str__(self) -> str:
        sign, rest = ("-" if self.nanoseconds < 0 else ""), abs(self.nanoseconds)
        if rest < 10**9:
            unit = next(unit for unit in ("ms", "µs", "ns") if rest >= _UNITS[unit] or unit == "ns")
            return "0s" if not rest else f"{sign}{_decimal(rest, _UNITS[unit])}{unit}"
        hours, rest = divmod(rest, _UNITS["h"])
        minutes, rest = divmod(rest, _UNITS["m"])
        seconds = f"{_decimal(rest, 10**9)}s"
        return sign + (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + seconds

    def method(self, name: str) -> Callable[..., Any]:
        """One of METHODS by its name."""
        ns = self.nanoseconds
        methods: dict[str, Callable[..., Any]] = {
            "Hours": lambda: ns / _UNITS["h"],
            "Minutes": lambda: ns / _UNITS["m"],
            "Seconds": lambda: ns / _UNITS["s"],
            "Milliseconds": lambda: int(ns / _UNITS["ms"]),
            "Microseconds": lambda: int(ns / _UNITS["us"]),
            "Nanoseconds": lambda: ns,
            "String": lambda: str(self),
            "Abs": lambda: Duration(abs(ns)),
            "Round": lambda to: Duration(_rounded(ns, to.nanoseconds)),
            "Truncate": lambda to: Duration(_truncated(ns, to.nanoseconds)),
        }
        return methods[name]


def _truncated(count: int, unit: int) -> int:
    """The multiple of a unit that is not further from zero; without a unit the number itself."""
    return count if unit <= 0 else count // unit * unit if count >= 0 else -(-count // unit * unit)


def _rounded(count: int, unit: int) -> int:
    """The nearest multiple of a unit, of two the one further from zero."""
    if unit <= 0:
        return count
    nearest = (abs(count) + unit // 2 + unit % 2) // unit * unit
    return nearest if count >= 0 else -nearest


def _decimal(count: int, unit: int) -> str:
    whole, rest = divmod(count, unit)
    fraction = str(rest).zfill(len(str(unit)) - 1).rstrip("0") if unit > 1 else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def duration(text: str) -> Duration:
    """A duration such as `1h30m` or `250ms`. Raises ExpressionError."""
    body = text[1:] if text[:1] in ("-", "+") else text
    found = [*_PART.finditer(body)] if isinstance(text, str) else []
    if body == "0":
        return Duration(0)
    if not body or "".join(part[0] for part in found) != body or any(part[1] in ("", ".") for part in found):
        raise ExpressionError(f"{text!r} is no duration, such as 1h30m or 250ms")
    total = sum(round(float(part[1]) * _UNITS[part[2]]) for part in found)
    return Duration(-total if text.startswith("-") else total)


@total_ordering
class Time:
    """A moment, with the zone in which it is shown."""

    go_type: ClassVar[str] = "time.Time"
    go_kind: ClassVar[str] = "struct"

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self.moment == other.moment

    def __lt__(self, other: Time) -> bool:
        return self.moment < other.moment

    def __hash__(self) -> int:
        return hash(self.moment)

    @property
    def json_value(self) -> str:
        """Its form in JSON."""
        return write(self.moment, "2006-01-02T15:04:05.999999999Z07:00")

    def __str__(self) -> str:
        return write(self.moment, "2006-01-02 15:04:05.999999999 -0700 MST")

    def plus(self, length: Duration) -> Time:
        """The moment that much later."""
        return Time(self.moment + timedelta(microseconds=length.nanoseconds / 1000))

    def minus(self, other: Time) -> Duration:
        """How much later it is than another moment."""
        return Duration(int((self.moment - other.moment) / timedelta(microseconds=1)) * 1000)

    def _multiple(self, how: Callable[[int, int], int], unit: Duration) -> Time:
        """The moment as a multiple of a length since the year 1."""
        past = self.moment - datetime(1, 1, 1, tzinfo=timezone.utc)
        count = past // timedelta(microseconds=1) * 1000
        return self.plus(Duration(how(count, unit.nanoseconds) - count))

    def method(self, name: str) -> Callable[..., Any]:
        """One of METHODS by its name."""
        moment = self.moment
        seconds = int(moment.timestamp())
        nanoseconds = seconds * 10**9 + moment.microsecond * 1000
        methods: dict[str, Callable[..., Any]] = {
            "Year": lambda: moment.year,
            "Month": lambda: Named(moment.month, moment.strftime("%B"), "time.Month"),
            "Day": lambda: moment.day,
            "Hour": lambda: moment.hour,
            "Minute": lambda: moment.minute,
            "Second": lambda: moment.second,
            "Nanosecond": lambda: moment.microsecond * 1000,
            "YearDay": lambda: moment.timetuple().tm_yday,
            "Weekday": lambda: Named((moment.weekday() + 1) % 7, moment.strftime("%A"), "time.Weekday"),
            "Unix": lambda: seconds,
            "UnixMilli": lambda: nanoseconds // 10**6,
            "UnixMicro": lambda: nanoseconds // 1000,
            "UnixNano": lambda: nanoseconds,
            "After": lambda other: self > other,
            "Before": lambda other: self < other,
            "Equal": lambda other: self == other,
            "IsZero": lambda: moment.year == 1 and moment.timetuple().tm_yday == 1,
            "Add": self.plus,
            "AddDate": lambda years, months, days: Time(_add_date(moment, years, months, days)),
            "Sub": self.minus,
            "In": lambda where: Time(moment.astimezone(where)),
            **dict.fromkeys(("UTC", "Local"), lambda: Time(moment.astimezone(timezone.utc))),
            "Round": lambda to: self._multiple(_rounded, to),
            "Truncate": lambda to: self._multiple(_truncated, to),
            "Compare": lambda other: (self > other) - (self < other),
            "String": lambda: str(self),
            "Format": lambda layout: write(moment, layout),
        }
        return methods[name]


class Named(int):
    """A number that is shown by a name: a month, a day of the week."""

    def __new__(cls, number: int, name: str, go_type: str) -> Named:
        """A number with its name and the name of its type."""
        made = super().__new__(cls, number)
        made.name, made.go_type = name, go_type
        return made

    name: str
    go_type: str

    def __str__(self) -> str:
        return self.name


def _add_date(moment: datetime, years: int, months: int, days: int) -> datetime:
    month = moment.month - 1 + months
    first = moment.replace(year=moment.year + years + month // 12, month=month % 12 + 1, day=1)
    return first + timedelta(days=moment.day - 1 + days)


def now(where: tzinfo = timezone.utc) -> Time:
    """This moment. Raises ExpressionError unless the place is a time zone."""
    if not isinstance(where, tzinfo):
        raise ExpressionError("now takes a time zone, as timezone(...) yields it")
    return Time(datetime.now(where))


def zone(name: str) -> tzinfo:
    """A time zone by its name. Raises ExpressionError."""
    if name in ("UTC", "", "Local"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ExpressionError(f"there is no time zone {name!r}") from error


_LAYOUTS = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)


def date(text: str, layout: str = "", where: str = "UTC") -> Time:
    """A moment of a text, in a given layout or in one of the usual ones. Raises ExpressionError."""
    for candidate in (layout,) if layout else _LAYOUTS:
        moment = read(text, candidate, zone(where))
        if moment is not None:
            return Time(moment)
    raise ExpressionError(f"{text!r} is no date{f' in the layout {layout!r}' if layout else ''}")


_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|__2|002|_2|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07"
    r"|0[1-6]|15|PM|pm|[.,]0+(?![0-9])|[.,]9+(?![0-9])|1(?![0-9])|2(?![0-9])|[345](?![0-9])"
)
_READ = {
    "2006": r"(?P<Y>\d{4})",
    "06": r"(?P<y>\d{2})",
    "January": r"(?P<B>[A-Za-z]+)",
    "Jan": r"(?P<b>[A-Za-z]{3})",
    "01": r"(?P<m>\d{2})",
    "1": r"(?P<m>\d{1,2})",
    "Monday": r"[A-Za-z]+",
    "Mon": r"[A-Za-z]{3}",
    "02": r"(?P<d>\d{2})",
    "_2": r" ?(?P<d>\d{1,2})",
    "2": r"(?P<d>\d{1,2})",
    "15": r"(?P<H>\d{2})",
    "03": r"(?P<I>\d{2})",
    "3": r"(?P<I>\d{1,2})",
    "04": r"(?P<M>\d{2})",
    "4": r"(?P<M>\d{1,2})",
    "05": r"(?P<S>\d{2})(?:[.,](?P<f>\d+))?",
    "5": r"(?P<S>\d{1,2})(?:[.,](?P<f>\d+))?",
    "PM": r"(?P<p>AM|PM)",
    "pm": r"(?P<p>am|pm)",
    "MST": r"(?P<Z>[A-Z]{3,4}|[+-]\d{2})",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def read(text: str, layout: str, where: tzinfo) -> datetime | None:
    """A moment of a text in one of Go's layouts, or None."""
    pattern, at = "", 0
    for match in _LAYOUT.finditer(layout):
        pattern += re.escape(layout[at : match.start()]) + _reading(match[0])
        at = match.end()
    found = re.fullmatch(pattern + re.escape(layout[at:]), text)
    if found is None:
        return None
    try:
        return _moment({name: part for name, part in found.groupdict().items() if part}, where)
    except ValueError:
        return None


def _reading(token: str) -> str:
    if token[0] in ".,":
        return ""  # the seconds before it take any fraction
    if token[0] == "Z":
        return r"(?P<z>Z|[+-]\d{2}:?\d{2})"
    return r"(?P<z>[+-]\d{2}(?::?\d{2})?)" if token[0] == "-" else _READ.get(token, re.escape(token))


def _moment(parts: dict[str, str], where: tzinfo) -> datetime:
    month = parts.get("B") or parts.get("b")
    hour = int(parts.get("H") or parts.get("I") or 0)
    if "p" in parts:
        hour = hour % 12 + (12 if parts["p"].upper() == "PM" else 0)
    year = int(parts["Y"]) if "Y" in parts else _century(int(parts["y"])) if "y" in parts else 1
    return datetime(
        year,
        _MONTHS.index(month[:3].lower()) + 1 if month else int(parts.get("m", 1)),
        int(parts.get("d", 1)),
        hour,
        int(parts.get("M", 0)),
        int(parts.get("S", 0)),
        int(parts.get("f", "0")[:6].ljust(6, "0")),
        _offset(parts["z"]) if "z" in parts else where,
    )


def _century(year: int) -> int:
    return year + (1900 if year >= 69 else 2000)


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return timezone.utc
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def write(moment: datetime, layout: str) -> str:
    """A moment as text in one of Go's layouts, which show how 2 January 2006, 15:04:05 would be written."""
    return _LAYOUT.sub(lambda match: _written(moment, match[0]), layout)


def _written(moment: datetime, token: str) -> str:
    if token[0] in ".,":
        digits = f"{moment.microsecond:06d}000"[: len(token) - 1]
        if token[1] == "9":
            digits = digits.rstrip("0")
        return f"{token[0]}{digits}" if digits else ""
    if token[0] in "Z-":
        return _written_offset(moment, token)
    if token in _STRFTIME:
        return moment.strftime(_STRFTIME[token])
    hour = moment.hour % 12 or 12
    number = {"1": moment.month, "2": moment.day, "3": hour, "4": moment.minute, "5": moment.second}.get(
        token
    )
    if number is not None:
        return str(number)
    return {
        "2006": f"{moment.year:04d}",
        "_2": f"{moment.day:2d}",
        "__2": f"{moment.timetuple().tm_yday:3d}",
        "pm": "pm" if moment.hour >= 12 else "am",
        "MST": _zone_name(moment),
    }[token]


_STRFTIME = {
    "January": "%B",
    "Jan": "%b",
    "Monday": "%A",
    "Mon": "%a",
    "06": "%y",
    "01": "%m",
    "02": "%d",
    "002": "%j",
    "03": "%I",
    "04": "%M",
    "05": "%S",
    "15": "%H",
    "PM": "%p",
}


def _zone_name(moment: datetime) -> str:
    """The short name of a moment's zone; of one that has an offset alone, this."""
    name = moment.tzname() or "UTC"
    return _written_offset(moment, "-0700") if name.startswith("UTC") and name != "UTC" else name


def _written_offset(moment: datetime, token: str) -> str:
    minutes = int((moment.utcoffset() or timedelta()).total_seconds() // 60)
    if token[0] == "Z" and not minutes:
        return "Z"
    colon = ":" if ":" in token else ""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{colon}{abs(minutes) % 60:02d}"[
        : 3 if len(token) == 3 else None
    ]
