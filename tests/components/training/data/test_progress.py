"""Progress lines: few, and with the right numbers."""

import logging

import pytest

from argosy.components.training.data.many_files import SECONDS, Progress


def test_a_line_every_few_seconds_and_one_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    progress = Progress("downloaded", 1000, 2_000_000_000, clock=lambda: now)
    for number in range(1000):
        now = (number + 1) * 0.02  # 20 seconds in all
        progress.add(2_000_000, 1_000_000 if number % 2 else 0)
    assert len(caplog.messages) == 20 / SECONDS
    assert caplog.messages[0] == "progress: 250/1000 files downloaded, 500.0 of 2000.0 MB, 25.0 MB/s"
    assert caplog.messages[-1] == "progress: 1000/1000 files downloaded, 2000.0 of 2000.0 MB, 25.0 MB/s"


def test_no_time_at_all_is_no_division_by_zero(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Progress("downloaded", 1, 0, clock=lambda: 7.0).add(0, 0)
    assert caplog.messages == ["progress: 1/1 files downloaded, 0.0 of 0.0 MB, 0.0 MB/s"]
