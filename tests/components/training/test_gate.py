"""Gate 1's arithmetic: every rule as a row."""

import pytest

from argosy.components.training.gate import Thresholds, decide
from argosy.errors import StepError, UsageError

DEFAULT = Thresholds(min_accuracy=0.90, min_improvement=0.005)

# accuracy, champion, passed, a part of the reason
DECISIONS = [
    (0.95, None, True, "no champion yet"),
    (0.90, None, True, "0.9000 >= 0.9000"),
    (0.8999, None, False, "0.8999 is below the required 0.9000"),
    (0.0, None, False, "below the required"),
    (1.0, None, True, "no champion yet"),
    (0.95, 0.94, True, "champion 0.9400 + 0.0050"),
    (0.905, 0.90, True, "0.9050 >= 0.9050"),  # 0.90 + 0.005 > 0.905 in binary
    (0.945, 0.94, True, "0.9450 >= 0.9450"),
    (0.9449, 0.94, False, "0.9449 is below 0.9450"),
    (0.94, 0.94, False, "0.9400 is below 0.9450"),  # a tie is no improvement
    (0.93, 0.94, False, "0.9300 is below 0.9450"),
    (0.89, 0.50, False, "below the required 0.9000"),  # better than the champion, yet not good enough
    (0.999, 0.999, False, "is below 1.0040"),  # cannot be beaten by that much
    (1.0, 0.0, True, "champion 0.0000"),
]


@pytest.mark.parametrize(("accuracy", "champion", "passed", "reason"), DECISIONS)
def test_decisions(accuracy: float, champion: float | None, passed: bool, reason: str) -> None:
    decision = decide(accuracy, champion, DEFAULT)
    assert decision.passed is passed
    assert decision.result == ("passed" if passed else "failed")
    assert reason in decision.reason


@pytest.mark.parametrize("champion", [step / 1000 for step in range(900, 996)])
def test_exactly_the_improvement_is_enough_whatever_the_rounding(champion: float) -> None:
    assert decide(round(champion + 0.005, 3), champion, DEFAULT).passed


def test_without_an_improvement_a_tie_passes() -> None:
    assert decide(0.95, 0.95, Thresholds(0.90, 0.0)).passed


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -0.01, 1.01, 95.0])
def test_what_is_no_accuracy_cannot_be_judged(bad: float) -> None:
    with pytest.raises(StepError, match="the candidate's accuracy is"):
        decide(bad, None, DEFAULT)
    with pytest.raises(StepError, match="the champion's accuracy is"):
        decide(0.95, bad, DEFAULT)


@pytest.mark.parametrize(
    ("name", "allowed"), [("min_accuracy", "from 0 to 1"), ("min_improvement", "from -1 to 1")]
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.1, 1.1, 90.0])
def test_thresholds_have_a_range(name: str, allowed: str, bad: float) -> None:
    values = {"min_accuracy": 0.9, "min_improvement": 0.005, name: bad}
    with pytest.raises(UsageError, match=f"{name} is .*; it must be {allowed}"):
        Thresholds(**values)


def test_an_improvement_below_zero_lets_a_worse_candidate_through() -> None:
    assert decide(0.91, 0.99, Thresholds(min_accuracy=0.90, min_improvement=-1)).passed
