"""Whether, and when, a failed attempt is followed by another."""

from __future__ import annotations

import os
import re

from argosy.runner.model import Retry
from argosy.runner.node import Phase

TRANSIENT_PATTERN = "TRANSIENT_ERROR_PATTERN"
"""Environment variable with a regular expression of messages that OnTransientError retries, as in Argo."""


def next_delay(
    retry: Retry, limit: int | None, attempts: int, phase: Phase, message: str, elapsed: float
) -> float | None:
    """Seconds to wait before another attempt; None if there is none.

    `attempts` were made, the last ended in `phase` with `message`, `elapsed` seconds after the first began.
    """
    if limit is not None and attempts > limit:
        return None
    if not _covered(retry.policy, phase, message):
        return None
    delay = retry.duration * retry.factor ** (attempts - 1)
    if retry.cap is not None:
        delay = min(delay, retry.cap)
    if retry.max_duration is not None and elapsed + delay > retry.max_duration:
        return None
    return delay


def _covered(policy: str, phase: Phase, message: str) -> bool:
    if policy == "OnTransientError":
        pattern = os.environ.get(TRANSIENT_PATTERN)
        return bool(pattern) and re.search(pattern or "", message) is not None
    wanted = {"Always": (Phase.FAILED, Phase.ERROR), "OnFailure": (Phase.FAILED,), "OnError": (Phase.ERROR,)}
    return phase in wanted[policy]
