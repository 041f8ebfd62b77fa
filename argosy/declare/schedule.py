"""When Argo starts a workflow by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from argosy.declare.fields import expect, expect_count, expect_text
from argosy.errors import DeclarationError

_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


@dataclass(frozen=True)
class Schedule:
    """The cron part of a CronWorkflow, in the form of Argo 3.6 and later.

    Attributes:
        cron: one cron expression of five fields, or several.
        timezone: an IANA name; None is the controller's.
        concurrency_policy: what happens when the one before still runs.
        starting_deadline: seconds after a missed time in which a start still counts.
        keep_succeeded, keep_failed: how many finished workflows Argo keeps.
    """

    cron: str | Sequence[str]
    timezone: str | None = None
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Forbid"
    starting_deadline: int | None = None
    keep_succeeded: int | None = None
    keep_failed: int | None = None

    def __post_init__(self) -> None:
        expect("schedule: cron", self.cron, "a cron expression, or a list of them", str, list, tuple)
        for expression in self.expressions:
            expect_text("schedule: cron", expression)
        for name in ("starting_deadline", "keep_succeeded", "keep_failed"):
            if (value := getattr(self, name)) is not None:
                expect_count(f"schedule: {name}", value)
        if not self.expressions:
            raise DeclarationError("schedule: no cron expression")
        for expression in self.expressions:
            if expression not in _MACROS and len(expression.split()) != 5:
                raise DeclarationError(f"schedule: {expression!r} is not a cron expression of five fields")
        if self.concurrency_policy not in ("Allow", "Forbid", "Replace"):
            raise DeclarationError(f"schedule: {self.concurrency_policy!r} is not a concurrency policy")
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError):
                if not available_timezones():  # a container without the database, where a step only runs
                    return
                raise DeclarationError(f"schedule: {self.timezone!r} is not a time zone") from None

    @property
    def expressions(self) -> list[str]:
        return [self.cron] if isinstance(self.cron, str) else list(self.cron)

    def to_dict(self) -> dict[str, Any]:
        """The fields of a CronWorkflow's spec beside `workflowSpec`."""
        pairs = {
            "schedules": self.expressions,
            "timezone": self.timezone,
            "concurrencyPolicy": self.concurrency_policy,
            "startingDeadlineSeconds": self.starting_deadline,
            "successfulJobsHistoryLimit": self.keep_succeeded,
            "failedJobsHistoryLimit": self.keep_failed,
        }
        return {key: value for key, value in pairs.items() if value is not None}
