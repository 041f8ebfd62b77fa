"""Whether, and when, a failed attempt is followed by another."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from argosy.local.errors import NodeError
from argosy.local.model import Retry
from argosy.local.node import Attempt, Phase, parse_time
from argosy.local.scope import Scope

TRANSIENT_PATTERN = "TRANSIENT_ERROR_PATTERN"
"""Environment variable with a regular expression of messages that OnTransientError retries, as in Argo."""

_COVERED = {
    "Always": (Phase.FAILED, Phase.ERROR),
    "OnFailure": (Phase.FAILED,),
    "OnError": (Phase.ERROR,),
}


FIELDS = frozenset(f"lastRetry.{name}" for name in ("exitCode", "status", "duration", "message"))
"""What is known of the last attempt."""


def next_delay(retry: Retry, scope: Scope, attempts: Sequence[Attempt], elapsed: float) -> float | None:
    """Seconds to wait before another attempt; None if there is none.

    `attempts` were made so far, all bad; `elapsed` seconds went by since the first began. Raises NodeError
    for a limit that is no number and an expression that is neither true nor false.
    """
    last = attempts[-1]
    limit = _limit(retry, scope)
    if limit is not None and len(attempts) > limit:
        return None
    if not _is_covered(retry.policy, last) or not _expression_holds(retry, scope, attempts):
        return None
    if retry.duration is None:
        raise NodeError("retryStrategy.backoff has no duration: no base duration specified for retryStrategy")
    delay = retry.duration * retry.factor ** (len(attempts) - 1)
    if retry.cap is not None:
        delay = min(delay, retry.cap)
    if retry.max_duration is not None and elapsed + delay > retry.max_duration:
        return None
    return delay


def _limit(retry: Retry, scope: Scope) -> int | None:
    if retry.limit is None:
        return None
    text = scope.render(retry.limit)
    if not text.isdecimal():
        raise NodeError(f"retryStrategy.limit is {text!r}, not a whole number")
    return int(text)


def _is_covered(policy: str, last: Attempt) -> bool:
    if policy == "OnTransientError":
        pattern = os.environ.get(TRANSIENT_PATTERN)
        return bool(pattern) and re.search(pattern or "", last.message) is not None
    return last.phase in _COVERED[policy]


def _expression_holds(retry: Retry, scope: Scope, attempts: Sequence[Attempt]) -> bool:
    if retry.expression is None:
        return True
    last = attempts[-1]
    took = parse_time(last.finished_at) - parse_time(last.started_at)
    known = {
        "retries": str(len(attempts) - 1),
        "lastRetry.exitCode": "-1" if last.exit_code is None else str(last.exit_code),
        "lastRetry.status": last.phase.value,
        "lastRetry.duration": str(int(took.total_seconds())),
        "lastRetry.message": last.message,
    }
    value = scope.inner(known).evaluate(bare(retry.expression))
    if not isinstance(value, bool):
        raise NodeError(f"retryStrategy.expression '{retry.expression}' is {value!r}, not true or false")
    return value


def bare(source: str) -> str:
    """The expression without the `{{=...}}` that it may stand in."""
    text = source.strip()
    return text[3:-2].strip() if text.startswith("{{=") and text.endswith("}}") else text
