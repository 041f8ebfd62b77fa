"""`depends`: which results let a task start."""

from __future__ import annotations

import pytest

from argosy.manifest.conditions import ConditionError
from argosy.manifest.depends import Depends, of_dependencies, parse, results


def holds(condition: Depends, **phases: str) -> bool:
    known = {
        name.replace("_", "-"): results(phase, failed_is_fine=False, error_is_fine=False, items=())
        for name, phase in phases.items()
    }
    return condition.holds(known)


@pytest.mark.parametrize(
    ("condition", "phases", "expected"),
    [
        ("a", {"a": "Succeeded"}, True),
        ("a", {"a": "Skipped"}, True),
        ("a", {"a": "Failed"}, False),
        ("a", {"a": "Error"}, False),
        ("a", {"a": "Omitted"}, False),
        ("a.Failed", {"a": "Failed"}, True),
        ("a.Errored", {"a": "Error"}, True),
        ("a.Omitted", {"a": "Omitted"}, True),
        ("a.Skipped", {"a": "Succeeded"}, False),
        ("!a.Failed", {"a": "Succeeded"}, True),
        ("a || b.Failed", {"a": "Failed", "b": "Failed"}, True),
        ("a && b", {"a": "Succeeded", "b": "Failed"}, False),
        ("a || b && c", {"a": "Succeeded", "b": "Failed", "c": "Failed"}, True),
        ("(a || b) && c", {"a": "Succeeded", "b": "Failed", "c": "Failed"}, False),
        (
            "step-1.Succeeded && !(step-2.Failed || step-2.Errored)",
            {"step_1": "Succeeded", "step_2": "Omitted"},
            True,
        ),
        ("", {}, True),
    ],
)
def test_condition_over_phases(condition: str, phases: dict[str, str], expected: bool) -> None:
    assert holds(parse(condition), **phases) is expected


def test_dependencies_are_joined_by_and() -> None:
    condition = of_dependencies(("a", "b"))
    assert condition.tasks == {"a", "b"}
    assert not holds(condition, a="Succeeded", b="Failed")


@pytest.mark.parametrize(
    ("items", "any_succeeded", "all_failed"),
    [
        (("Succeeded", "Failed"), True, False),
        (("Failed", "Failed"), False, True),
        (("Failed", "Error"), False, False),
        ((), False, False),
    ],
)
def test_results_of_a_loop(items: tuple[str, ...], any_succeeded: bool, all_failed: bool) -> None:
    found = results("Failed", failed_is_fine=False, error_is_fine=False, items=items)
    assert ("AnySucceeded" in found, "AllFailed" in found) == (any_succeeded, all_failed)


def test_continue_on_widens_the_bare_name() -> None:
    assert "bare" in results("Failed", failed_is_fine=True, error_is_fine=False, items=())
    assert "bare" not in results("Error", failed_is_fine=True, error_is_fine=False, items=())


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("a &&", "it ends too early"),
        ("a & b", "'&' is unexpected after 'a'"),
        ("(a || b", "it ends too early"),
        ("a b", "'b' is unexpected after 'a'"),
        ("a.Success", "no task result 'Success'"),
        ("a == b", "'=' is unexpected after 'a'"),
    ],
)
def test_condition_that_cannot_be_read(condition: str, says: str) -> None:
    with pytest.raises(ConditionError, match=says):
        parse(condition)
