"""How often, and how long apart, something is tried again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from argosy.cluster.errors import TransientError

_LOGGER = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """Attempts, and seconds between them: up to `first` before the second, doubling up to `longest`."""

    attempts: int = 4
    first: float = 0.5
    longest: float = 8.0

    def call(self, attempt: Callable[[], T]) -> T:
        """The result of the first attempt that does not fail with a `TransientError`.

        Only for what may safely happen twice. Raises the last attempt's error.
        """
        return Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=self.first, max=self.longest),
            retry=retry_if_exception_type(TransientError),
            before_sleep=_log,
            reraise=True,
        )(attempt)

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return float(min(self.longest, self.first * 2**failures))


def _log(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _LOGGER.warning("attempt %d: %s; trying again", state.attempt_number, error)
