"""ARG6: CronWorkflows."""

import re
import zoneinfo
from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Entry, mapping, sequence
from argosy.text import remedy

MONTHS = {
    n: i
    for i, n in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
DAYS = {n: i for i, n in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_DURATION = re.compile(
    r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*|[+-]?0"
)


def trouble(schedule: str) -> str:
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
    if len(fields) != len(FIELDS):
        return f"it has {len(fields)} fields instead of 5"
    return next((p for f, spec in zip(fields, FIELDS, strict=True) if (p := _field(f, *spec))), "")


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
        return "" if _DURATION.fullmatch(duration) else f"'{duration}' is no duration such as 90m"
    return "" if schedule in DESCRIPTORS else f"there is only {', '.join(DESCRIPTORS)} and @every"


def _field(field: str, name: str, low: int, high: int, names: dict[str, int]) -> str:
    parts = [p for p in field.split(",") if p]
    if not parts:
        return f"{name} is empty"
    return next((p for part in parts if (p := _part(part, name, low, high, names))), "")


def _part(part: str, name: str, low: int, high: int, names: dict[str, int]) -> str:
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


POLICIES = ("Allow", "Forbid", "Replace")


def _cron(subject: Subject) -> Iterator[Entry]:
    if subject.resource.kind == "CronWorkflow":
        yield Entry(("spec",), mapping(subject.resource.body.get("spec")))


@rule("ARG611", "schedule-missing")
def schedule_missing(subject: Subject) -> Iterator[Found]:
    """A CronWorkflow has no schedule.

    Why: Argo refuses it.

    Bad:
        spec: {schedules: [], workflowSpec: {...}}

    Good:
        spec: {schedules: ["0 2 * * *"], workflowSpec: {...}}
    """
    for spec in _cron(subject):
        if not sequence(spec.get("schedules")) and spec.get("schedule") is None:
            yield Found(spec.path, "the CronWorkflow has no schedule", "Add 'schedules: [\"0 2 * * *\"]'.")


@rule("ARG612", "schedule-malformed")
def schedule_malformed(subject: Subject) -> Iterator[Found]:
    """A schedule is not one that cron understands.

    Five fields: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly,
    @yearly, @every 90m. "TZ=Europe/Berlin " may stand before it.

    Why: Argo refuses it.

    Bad:
        schedules: ["0 25 * * *"]

    Good:
        schedules: ["0 23 * * *"]
    """
    for spec in _cron(subject):
        places = [(spec.at("schedules", i), s) for i, s in enumerate(sequence(spec.get("schedules")))]
        if spec.get("schedule") is not None:
            places.append((spec.at("schedule"), spec.get("schedule")))
        for path, schedule in places:
            if problem := trouble(str(schedule)):
                yield Found(path, f"schedule '{schedule}' is malformed: {problem}", "Correct it.")


@rule("ARG613", "timezone-unknown")
def timezone_unknown(subject: Subject) -> Iterator[Found]:
    """A CronWorkflow's time zone does not exist.

    Why: Argo refuses it.

    Bad:
        timezone: Europe/Bonn

    Good:
        timezone: Europe/Berlin
    """
    for spec in _cron(subject):
        zone = spec.get("timezone")
        if isinstance(zone, str) and zone and not zone_exists(zone):
            hint = remedy(zone, zone_names(), "Use a name such as Europe/Berlin.")
            yield Found(spec.at("timezone"), f"time zone '{zone}' does not exist", hint)


@rule("ARG614", "concurrency-policy")
def concurrency_policy(subject: Subject) -> Iterator[Found]:
    """concurrencyPolicy is none of Allow, Forbid and Replace.

    Why: Argo refuses it.

    Bad:
        concurrencyPolicy: forbid

    Good:
        concurrencyPolicy: Forbid
    """
    for spec in _cron(subject):
        policy = spec.get("concurrencyPolicy")
        if policy and policy not in POLICIES:
            hint = f"Use one of {', '.join(POLICIES)}."
            yield Found(spec.at("concurrencyPolicy"), f"concurrencyPolicy '{policy}' is unknown", hint)


@rule("ARG615", "starting-deadline")
def starting_deadline(subject: Subject) -> Iterator[Found]:
    """startingDeadlineSeconds is negative.

    Why: Argo refuses it.

    Bad:
        startingDeadlineSeconds: -5

    Good:
        startingDeadlineSeconds: 60
    """
    for spec in _cron(subject):
        seconds = spec.get("startingDeadlineSeconds")
        if isinstance(seconds, int) and seconds < 0:
            message = f"startingDeadlineSeconds is {seconds}"
            yield Found(spec.at("startingDeadlineSeconds"), message, "Give 0 or more seconds.")
