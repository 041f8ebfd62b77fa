"""Gate 3's table of rules, each at its limit and beyond."""

from dataclasses import replace
from typing import Any

import pytest

from argosy.components.deployment.comparison.rules import Limits, Measured, Side, judge, verdict
from argosy.errors import UsageError

MIB = 2**20
LIVE = Side(accuracy=0.95, error_rate=0.0, p50_ms=10.0, p95_ms=20.0, memory_bytes=100 * MIB)
EQUAL = Measured(LIVE, LIVE, 0.0, 1.0, 0.0, same_network=True, first_error="")


def broken(measured: Measured, **limits: float) -> list[str]:
    return [finding.rule for finding in judge(measured, Limits.of(limits)) if not finding.passed]


def candidate(**changed: Any) -> Measured:
    return replace(EQUAL, candidate=replace(LIVE, **changed))


def test_the_same_model_twice_breaks_no_rule() -> None:
    assert verdict(judge(EQUAL, Limits())) == ("passed", "7 of 7 rules apply, and all of them hold")


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        (candidate(accuracy=0.94), candidate(accuracy=0.93), "accuracy"),
        (candidate(p50_ms=12.5), candidate(p50_ms=12.6), "p50-latency"),
        (candidate(p95_ms=30.0), candidate(p95_ms=30.1), "p95-latency"),
        (candidate(memory_bytes=150 * MIB), candidate(memory_bytes=151 * MIB), "memory"),
        (replace(EQUAL, agreement=0.8), replace(EQUAL, agreement=0.795), "agreement"),
        (replace(EQUAL, difference=1e-4), replace(EQUAL, difference=1.1e-4), "difference"),
        (EQUAL, replace(EQUAL, extra_error_rate=0.005), "error-rate"),
    ],
)
def test_a_rule_holds_at_its_limit_and_is_broken_beyond(good: Measured, bad: Measured, rule: str) -> None:
    assert (broken(good), broken(bad)) == ([], [rule])
    assert verdict(judge(bad, Limits()))[0] == "failed"


def test_a_better_candidate_breaks_no_rule() -> None:
    assert broken(candidate(accuracy=1.0, p50_ms=1.0, p95_ms=2.0, memory_bytes=MIB)) == []


def test_differences_that_are_noise_break_no_rule() -> None:
    tiny = replace(LIVE, p50_ms=0.4, p95_ms=0.5, memory_bytes=2 * MIB)
    other = replace(LIVE, p50_ms=1.3, p95_ms=1.4, memory_bytes=10 * MIB)
    findings = judge(replace(EQUAL, live=tiny, candidate=other), Limits())
    assert [f.rule for f in findings if f.note] == ["p50-latency", "p95-latency", "memory"]
    assert all(f.passed for f in findings)


def test_two_trainings_may_answer_differently() -> None:
    assert broken(replace(EQUAL, difference=50.0, same_network=False)) == []


def test_what_was_not_measured_decides_nothing_and_is_listed() -> None:
    nothing = Side(None, 0.0, None, None, None)
    findings = judge(Measured(nothing, nothing, 0.0, None, None, True, ""), Limits())
    assert verdict(findings) == ("passed", "1 of 7 rules apply, and all of them hold")
    assert len([f for f in findings if f.value is None and f.note]) == 6


def test_the_reason_names_the_rule_the_numbers_and_the_error() -> None:
    bad = replace(candidate(accuracy=0.5), extra_error_rate=0.25, first_error="it said no")
    assert verdict(judge(bad, Limits()))[1] == (
        "error-rate 0.25 is beyond 0 (it said no); accuracy 0.45 is beyond 0.01"
    )


def test_other_limits_may_be_given() -> None:
    assert broken(candidate(accuracy=0.5), max_accuracy_drop=0.5) == []


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"max_acuracy_drop": 0.1}, "'max_acuracy_drop' is no limit; there is: max_error_rate, "),
        ({"min_agreement": 1.1}, "min_agreement is 1.1; it must be a number from 0 to 1"),
        ({"min_agreement": float("nan")}, "must be a number from 0 to 1"),
        ({"max_p50_ratio": -1}, "must be a number from 0 up"),
        ({"max_p50_ratio": float("inf")}, "must be a number from 0 up"),
        ({"max_p50_ratio": 10**400}, "max_p50_ratio is 1000.*0; it must be a number from 0 up"),
        ({"max_difference": "1e-4"}, "max_difference is '1e-4'; it must be a number from 0 up"),
        ({"max_difference": True}, "must be a number from 0 up"),
        ({"max_difference": None}, "must be a number from 0 up"),
    ],
)
def test_limits_that_are_none_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Limits.of(given)
