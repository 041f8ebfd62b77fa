"""When Argo runs a step again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from argosy.declare.fields import expect, expect_count, expect_text
from argosy.errors import DeclarationError

DURATION = re.compile(r"(\d+(\.\d+)?(ms|s|m|h))+|\d+")


def check_duration(name: str, text: str) -> None:
    """Raises DeclarationError unless `text` is a Go duration (`30s`, `1h30m`) or whole seconds."""
    expect(name, text, "a duration such as '30s' or '1h30m'", str)
    if not DURATION.fullmatch(text):
        raise DeclarationError(f"{name}: {text!r} is not a duration such as '30s' or '1h30m'")


_NUMBERS = (int, float, Decimal)
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}


def seconds(name: str, value: int | str | None) -> int | None:
    """A time limit in whole seconds, as Argo takes it, from a number or a Go duration.

    Raises:
        DeclarationError: it is neither, no whole number of seconds, or not above 0.
    """
    if value is None:
        return None
    total: Any = value
    if isinstance(value, str):
        check_duration(name, value)
        parts = re.findall(r"([\d.]+)(ms|[smh]?)", value)
        total = sum((Decimal(number) * _SECONDS[unit or "s"] for number, unit in parts), Decimal(0))
    if isinstance(total, bool) or not isinstance(total, _NUMBERS) or total <= 0 or total % 1:
        raise DeclarationError(f"{name} {value!r} is no whole number of seconds above 0: 90, '1m30s'")
    expect_count(name, int(total))
    return int(total)


RETRY_POLICIES = {
    "Always": "after a failure or the loss of its pod",
    "OnFailure": "after an exit code other than 0",
    "OnError": "after the loss of its pod, not after an exit code of its own",
    "OnTransientError": "after an error that the cluster counts as transient",
}


@dataclass(frozen=True)
class Retry:
    """Argo's `retryStrategy`.

    Attributes:
        limit: how many times again, after the first attempt.
        policy: what counts. `OnError` is the loss of the pod or an infrastructure fault, never
            an exit code of the step itself.
        duration: the wait before the first retry.
        factor: each wait is the one before times this.
        max_duration: no retry starts later than this after the first attempt.
        expression: an expr condition on `lastRetry`, beside the policy.
    """

    limit: int = 2
    policy: Literal["Always", "OnFailure", "OnError", "OnTransientError"] = "OnError"
    duration: str | None = "30s"
    factor: int = 2
    max_duration: str | None = "10m"
    expression: str | None = None

    def __post_init__(self) -> None:
        expect_count("retry: limit", self.limit)
        expect_count("retry: factor", self.factor, 1)
        if self.expression is not None:
            expect_text("retry: expression", self.expression)
        if self.policy not in RETRY_POLICIES:
            raise DeclarationError(f"retry: policy {self.policy!r} is none of {', '.join(RETRY_POLICIES)}")
        for name in ("duration", "max_duration"):
            if (text := getattr(self, name)) is not None:
                check_duration(f"retry: {name}", text)

    def __str__(self) -> str:
        """For a person: how often, after what, how far apart."""
        times = "once" if self.limit == 1 else f"up to {self.limit} times"
        waits = (
            f", first after {self.duration}, each wait {self.factor} times the last" if self.duration else ""
        )
        condition = f", while {self.expression}" if self.expression else ""
        return f"Runs again {times} {RETRY_POLICIES[self.policy]} ({self.policy}){waits}{condition}."

    def to_dict(self) -> dict[str, Any]:
        """Argo's `retryStrategy`."""
        strategy: dict[str, Any] = {"limit": str(self.limit), "retryPolicy": self.policy}
        if self.expression:
            strategy["expression"] = self.expression
        if self.duration:
            strategy["backoff"] = {"duration": self.duration, "factor": str(self.factor)}
            if self.max_duration:
                strategy["backoff"]["maxDuration"] = self.max_duration
        return strategy
