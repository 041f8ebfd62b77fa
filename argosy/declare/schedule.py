"""Cron schedules and time zones, as Argo's controller reads them."""

from __future__ import annotations

import re
import zoneinfo

MONTHS = {
    n: i
    for i, n in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
DAYS = {n: i for i, n in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
CRON_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
GO_DURATION = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*|[+-]?0"
)


def schedule_trouble(schedule: str) -> str:
    """The fault of a schedule, or the empty string."""
    if not schedule:
        return "it is empty"
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        zone, _, schedule = schedule.partition("=")[2].partition(" ")
        if not zone_exists(zone):
            return f"time zone '{zone}' does not exist"
        schedule = schedule.strip()
    if schedule.startswith("@"):
        return _descriptor(schedule)
    fields = schedule.split()
    if len(fields) != len(CRON_FIELDS):
        return f"it has {len(fields)} fields instead of 5"
    pairs = zip(fields, CRON_FIELDS)  # noqa: B905 - Python 3.9
    return next((p for f, spec in pairs if (p := _cron_field(f, *spec))), "")


def zone_exists(zone: str) -> bool:
    """True if there is such a time zone, or if this machine has no time zones to compare with."""
    if zone in ("", "UTC", "Local"):
        return True
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return not zone_names()
    return True


def zone_names() -> list[str]:
    """The time zones that this machine knows."""
    return sorted(zoneinfo.available_timezones())


def _descriptor(schedule: str) -> str:
    if schedule.startswith("@every "):
        duration = schedule[len("@every ") :]
        return "" if GO_DURATION.fullmatch(duration) else f"'{duration}' is no duration such as 90m"
    return "" if schedule in DESCRIPTORS else f"there is only {', '.join(DESCRIPTORS)} and @every"


def _cron_field(field: str, name: str, low: int, high: int, names: dict[str, int]) -> str:
    parts = [p for p in field.split(",") if p]
    if not parts:
        return f"{name} is empty"
    return next((p for part in parts if (p := _cron_part(part, name, low, high, names))), "")


def _cron_part(part: str, name: str, low: int, high: int, names: dict[str, int]) -> str:
    span, slash, step = part.partition("/")
    if slash and (not step.isdecimal() or int(step[:9]) == 0):
        return f"{name} step '{step}' is no positive number"
    if span in ("*", "?"):
        return ""
    bounds = span.split("-")
    values = [names.get(b.lower(), int(b[:9]) if b.isascii() and b.isdecimal() else -1) for b in bounds]
    if len(bounds) > 2 or -1 in values:
        return f"{name} '{span}' is neither a number, a name nor a range"
    if min(values) < low or max(values) > high:
        return f"{name} '{span}' is outside of {low} to {high}"
    return f"{name} '{span}' runs backwards" if values != sorted(values) else ""
