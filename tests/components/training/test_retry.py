"""When Argo, and the local runner, run the train step again."""

from __future__ import annotations

import pytest

from argosy.components.training.train import train
from argosy.declare.template import render_template
from argosy.local.engine import next_delay
from argosy.local.node import Attempt, Phase
from argosy.local.parse import parse_retry
from argosy.local.scope import Scope

TIME = "2026-01-01T00:00:00.000Z"
WEEK = 7 * 24 * 3600.0


def _delay(phase: Phase, code: int | None, tried: int = 1) -> float | None:
    """The wait before the next attempt, a week after the first, when all ended like this; None: no other."""
    retry = parse_retry(render_template(train, "train")["retryStrategy"], "train")
    assert retry is not None
    attempts = [Attempt(f"train({n})", phase, TIME, TIME, code, "") for n in range(tried)]
    return next_delay(retry, Scope(), attempts, elapsed=WEEK)


@pytest.mark.parametrize(
    ("phase", "code"),
    [(Phase.ERROR, None), (Phase.ERROR, 1), (Phase.FAILED, 143), (Phase.FAILED, 137)],
    ids=["pod deleted", "node lost", "told to go", "killed"],
)
def test_what_the_step_did_not_cause_is_tried_again(phase: Phase, code: int | None) -> None:
    assert [_delay(phase, code, tried) for tried in range(1, 7)] == [30, 60, 120, 240, 480, None]


@pytest.mark.parametrize("code", [1, 2, 130, 139])
def test_what_would_come_out_the_same_is_not(code: int) -> None:
    assert _delay(Phase.FAILED, code) is None
