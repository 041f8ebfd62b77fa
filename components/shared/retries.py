"""The line that a failed try leaves in the log, before the next one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import RetryCallState


def before_next(log: logging.Logger, level: int = logging.WARNING) -> Callable[[RetryCallState], None]:
    """For tenacity's `before_sleep`: why the try failed, and when the next one begins.

    Tenacity's own line names the function that is called again, which says nothing to whoever reads it.
    """

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        why = " ".join(str(error).split()) or type(error).__name__
        log.log(level, "%s; tried again in %.1f s", why[:1000], state.upcoming_sleep)

    return tell
