"""When Argo runs a step again."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from argosy.errors import DeclarationError

DURATION = re.compile(r"(\d+(\.\d+)?(ms|s|m|h))+|\d+")


def check_duration(name: str, text: str) -> None:
    """Raises DeclarationError unless `text` is a Go duration (`30s`, `1h30m`) or whole seconds."""
    if not DURATION.fullmatch(text):
        raise DeclarationError(f"{name}: {text!r} is not a duration such as '30s' or '1h30m'")


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
        if self.limit < 0:
            raise DeclarationError(f"retry: limit {self.limit} is below 0")
        if self.policy not in ("Always", "OnFailure", "OnError", "OnTransientError"):
            raise DeclarationError(f"retry: {self.policy!r} is not a policy of Argo's")
        for name in ("duration", "max_duration"):
            if (text := getattr(self, name)) is not None:
                check_duration(f"retry: {name}", text)

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
