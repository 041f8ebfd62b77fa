"""The ways in which a server fails, and how often something is tried again then."""

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

from argosy.errors import ArgosyError

_LOGGER = logging.getLogger(__name__)
T = TypeVar("T")


class SubmitError(ArgosyError):
    """The server, or the way to it, failed."""


class TransientError(SubmitError):
    """Another attempt may work: the server was not reached, gave no answer, or is busy."""


class ForbiddenError(SubmitError):
    """The server knows who asks, and does not allow it."""


class NotFoundError(SubmitError):
    """The object is not there; its namespace and its kind may be."""


class ConflictError(SubmitError):
    """There is an object of this name already, or it was changed meanwhile."""


class RejectedError(SubmitError):
    """The server refuses the manifest."""


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
