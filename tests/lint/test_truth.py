"""Conditions that can never hold, and ones that can."""

import pytest

from argosy.lint.rules.expressions import never_true

NEVER = [
    "false",
    "a == b",
    "'a' != 'a'",
    "false && {{x}} == y",
    "{{x}} == a && {{x}} == b",
    "{{tasks.a.status}} == Success",
    "'{{steps.a.status}}' == 'failed'",
    "({{workflow.status}} == Done)",
    "{{x}} == y && 1 == 2",
    "false || 1 == 2",
    "1 < 0",
    "!true",
]
POSSIBLE = [
    "true",
    "{{x}} == a",
    "a == a",
    "{{x}} == a || {{x}} == b",
    "{{tasks.a.status}} == Succeeded",
    "{{x}} != {{x}}y",
    "{{tasks.a.status}} == {{y}}",
    "{{inputs.parameters.status}} == whatever",
    "!false",
    "{{x}} == a && {{y}} == b",
    "{{steps.a.outputs.parameters.exit-status}} == 3",
    "{{",
    "false || {{x}}",
]


@pytest.mark.parametrize("when", NEVER)
def test_never(when: str) -> None:
    assert never_true(when)


@pytest.mark.parametrize("when", POSSIBLE)
def test_possible(when: str) -> None:
    assert never_true(when) == ""
