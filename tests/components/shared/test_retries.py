"""The line that a failed try leaves."""

import logging

import pytest
from tenacity import Retrying, stop_after_attempt, wait_fixed

from argosy.components.shared.retries import before_next

log = logging.getLogger(__name__)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("nobody\nanswers"), "nobody answers; tried again in 0.0 s"),
        (ValueError(), "ValueError; tried again in 0.0 s"),
    ],
)
def test_it_says_why_and_not_which_function(
    error: Exception, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    tries = Retrying(
        stop=stop_after_attempt(2), wait=wait_fixed(0.001), before_sleep=before_next(log), reraise=True
    )
    with pytest.raises(ValueError):
        tries(fail)
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", line)]
