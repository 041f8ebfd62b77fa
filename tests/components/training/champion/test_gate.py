"""Gate 1's arithmetic: every rule as a row."""

import sys
from typing import Any

import pytest

from argosy.components.training.champion import OnOtherData, Rule, Score, decide
from argosy.errors import StepError, UsageError

DEFAULT = Rule()
LOSS = Rule(0.5, 0.01, "val_loss", "minimize")

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
    decision = decide(Score(accuracy), None if champion is None else Score(champion), DEFAULT)
    assert decision.passed is passed
    assert decision.result == ("passed" if passed else "failed")
    assert reason in decision.reason


# value, champion, passed, a part of the reason; threshold 0.5, improvement 0.01
MINIMIZED = [
    (0.5, None, True, "val_loss 0.5 <= 0.5, and no champion yet"),
    (0.5001, None, False, "val_loss 0.5001 is above the required 0.5"),
    (-3.0, None, True, "no champion yet"),
    (0.29, 0.3, True, "val_loss 0.29 <= 0.29 (champion 0.3 - 0.01"),  # 0.3 - 0.01 < 0.29 in binary
    (0.2901, 0.3, False, "is above 0.29"),
    (0.3, 0.3, False, "is above 0.29"),
    (0.6, 0.9, False, "above the required"),
]


@pytest.mark.parametrize(("value", "champion", "passed", "reason"), MINIMIZED)
def test_less_is_better(value: float, champion: float | None, passed: bool, reason: str) -> None:
    decision = decide(Score(value), None if champion is None else Score(champion), LOSS)
    assert (decision.passed, reason in decision.reason) == (passed, True), decision.reason


@pytest.mark.parametrize("step", range(900, 996))
def test_exactly_the_improvement_is_enough_whatever_the_rounding(step: int) -> None:
    champion = step / 1000
    assert decide(Score(round(champion + 0.005, 3)), Score(champion), DEFAULT).passed
    assert not decide(Score(round(champion + 0.0049, 4)), Score(champion), DEFAULT).passed
    lower = Rule(1.0, 0.005, "error", "minimize")
    assert decide(Score(round(champion - 0.005, 3)), Score(champion), lower).passed


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("step", range(1, 60, 7))
def test_rounding_is_allowed_for_at_every_scale_and_nothing_else(scale: float, step: int) -> None:
    rule = Rule(0.0, 0.1 * scale, "score", "maximize")
    champion = step / 10 * scale
    assert decide(Score((step + 1) / 10 * scale), Score(champion), rule).passed
    assert not decide(Score((step + 0.999) / 10 * scale), Score(champion), rule).passed


def test_without_an_improvement_a_tie_passes() -> None:
    assert decide(Score(0.95), Score(0.95), Rule(0.90, 0.0)).passed


# candidate's data, champion's data, on_other_data, passed, champion_data, a part of the reason
DATA = [
    ("a", "a", "fail", False, "same", "is below 0.9550 (champion 0.9500 + 0.0050)"),
    ("a", "b", "compare", False, "other", "it was made with another data set"),
    ("a", "b", "fail", False, "other", "but the champion was made with another data set"),
    ("a", "b", "ignore-champion", True, "other", "made with another data set and does not count"),
    ("", "b", "ignore-champion", False, "unknown", "whether it was made with the same data set is unknown"),
    ("a", "", "fail", False, "unknown", "is unknown"),
]


@pytest.mark.parametrize(("mine", "theirs", "setting", "passed", "data", "reason"), DATA)
def test_a_champion_of_another_data_set_is_told(
    mine: str, theirs: str, setting: OnOtherData, passed: bool, data: str, reason: str
) -> None:
    decision = decide(Score(0.93, mine), Score(0.95, theirs), Rule(on_other_data=setting))
    assert (decision.passed, decision.champion_data) == (passed, data)
    assert reason in decision.reason


def test_the_threshold_holds_whatever_the_data() -> None:
    decision = decide(Score(0.5, "a"), Score(0.4, "b"), Rule(on_other_data="ignore-champion"))
    assert not decision.passed


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -0.01, 1.01, 95.0])
def test_what_is_no_accuracy_cannot_be_judged(bad: float) -> None:
    with pytest.raises(StepError, match="the candidate's best_val_accuracy is"):
        decide(Score(bad), None, DEFAULT)
    with pytest.raises(StepError, match="the champion's best_val_accuracy is"):
        decide(Score(0.95), Score(bad), DEFAULT)


# MLflow answers with the largest number where infinity was logged.
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), sys.float_info.max])
def test_what_is_not_finite_cannot_be_judged(bad: float) -> None:
    with pytest.raises(StepError, match="not a finite number"):
        decide(Score(bad), None, LOSS)


@pytest.mark.parametrize(
    ("name", "allowed"), [("min_accuracy", "from 0 to 1"), ("min_improvement", "from -1 to 1")]
)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.1, 1.1, 90.0])
def test_thresholds_of_an_accuracy_have_a_range(name: str, allowed: str, bad: float) -> None:
    with pytest.raises(UsageError, match=f"{name} is .*; for best_val_accuracy it must be {allowed}"):
        Rule(**{name: bad})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "val_loss", "min_accuracy": float("nan")}, "min_accuracy is nan; it must be a finite"),
        ({"metric": "val_loss", "min_improvement": float("inf")}, "min_improvement is inf"),
        ({"metric": " "}, "metric is empty"),
        ({"direction": "up"}, "direction is 'up'; it must be maximize or minimize"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rule(**settings)


def test_other_metrics_have_their_own_units() -> None:
    assert decide(Score(42.0), Score(40.0), Rule(30.0, 1.5, "psnr")).passed


def test_an_improvement_below_zero_lets_a_worse_candidate_through() -> None:
    assert decide(Score(0.91), Score(0.99), Rule(min_accuracy=0.90, min_improvement=-1)).passed


def test_equal_rules_have_equal_texts() -> None:
    assert Rule(0.9, 0.005).text() == Rule().text() != Rule(0.9, 0.006).text()
