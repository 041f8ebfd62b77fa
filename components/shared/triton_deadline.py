"""The time that a step may take, and patience with a server that is just restarting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from argosy.components.shared.retries import before_next
from argosy.errors import StepError


class TritonError(StepError):
    """Any of the below."""


class TritonUnreachable(TritonError):
    """Nobody answers at the server's address: worth another try."""


class TritonTimeout(TritonError):
    """The server took the call and did not answer in time."""


class TritonRefused(TritonError):
    """The server answered with an error to an `action`; `reason` is its own text."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(f"Triton could not {action}: {reason}")
        self.action, self.reason = action, reason


def one_line(text: str) -> str:
    """A server's text without line breaks and trailing separators."""
    return " ".join(text.split()).rstrip(" ;")


log = logging.getLogger(__name__)

T = TypeVar("T")
# A server that does not come back within this time is down, not restarting.
UNREACHABLE_SECONDS = 60.0


@dataclass(frozen=True)
class Deadline:
    """A moment of the monotonic clock by which everything must be done."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment that lies `seconds` ahead."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def left(self) -> float:
        """Seconds until then; never below a tenth, so that a call can still be made and fail by itself."""
        return max(self.at - time.monotonic(), 0.1)

    @property
    def passed(self) -> bool:
        """Whether the moment is over."""
        return time.monotonic() >= self.at


def patiently(deadline: Deadline, call: Callable[[], T]) -> T:
    """Call again while nobody answers, up to a minute, never past the deadline.

    Raises:
        TritonUnreachable: nobody came; any other error of `call` is raised at once.
    """
    last = min(time.monotonic() + UNREACHABLE_SECONDS, deadline.at)

    def stop(state: RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep >= last

    tries = Retrying(
        retry=retry_if_exception_type(TritonUnreachable),
        stop=stop,
        wait=wait_exponential(multiplier=0.5, max=5),
        before_sleep=before_next(log),
        reraise=True,
    )
    return tries(call)
