"""Cron schedules in the dialect that Argo reads."""

import pytest

from argosy import Schedule
from argosy.declare.schedule import schedule_trouble, zone_exists
from argosy.errors import DeclarationError

VALID = [
    "* * * * *",
    "0 2 * * *",
    "*/5 * * * *",
    "0,30 8-18/2 ? jan-mar MON-FRI",
    "59 23 31 12 6",
    "5/15 * * * *",
    "@daily",
    "@midnight",
    "@annually",
    "@every 90m",
    "@every 1h30m5s",
    "TZ=Europe/Berlin 0 2 * * *",
    "CRON_TZ=UTC @hourly",
    "0 0 1 1 0",
    "  0 2 * * *  ",
]
INVALID = {
    "": "empty",
    "* * * *": "4 fields",
    "* * * * * *": "6 fields",
    "60 * * * *": "minute",
    "* 24 * * *": "hour",
    "* * 0 * *": "day of month",
    "* * * 13 *": "month",
    "* * * * 7": "day of week",
    "5-1 * * * *": "backwards",
    "*/0 * * * *": "step",
    "*/x * * * *": "step",
    "a * * * *": "minute",
    "1-2-3 * * * *": "minute",
    "@often": "@every",
    "@every soon": "duration",
    "TZ=Not/AZone * * * * *": "time zone",
    "L * * * *": "minute",
    "10 * * 12737123 *": "month",
    ", * * * *": "minute is empty",
    "²  * * * *": "minute",
}


@pytest.mark.parametrize("schedule", VALID)
def test_valid(schedule: str) -> None:
    assert schedule_trouble(schedule) == ""


@pytest.mark.parametrize("schedule", INVALID)
def test_invalid(schedule: str) -> None:
    assert INVALID[schedule] in schedule_trouble(schedule)


@pytest.mark.parametrize(
    ("zone", "exists"), [("Europe/Berlin", True), ("Local", True), ("", True), ("../etc", False)]
)
def test_time_zones(zone: str, exists: bool) -> None:
    assert zone_exists(zone) is exists


@pytest.mark.parametrize("schedule", [one for one in VALID if one])
def test_a_pipeline_may_declare_what_argo_reads(schedule: str) -> None:
    assert Schedule(schedule).expressions == [schedule]


@pytest.mark.parametrize("schedule", INVALID)
def test_a_pipeline_may_not_declare_what_argo_does_not_read(schedule: str) -> None:
    with pytest.raises(DeclarationError, match=INVALID[schedule]):
        Schedule(["@daily", schedule])
