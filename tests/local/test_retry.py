"""Retries: which failures, how often, how far apart."""

from __future__ import annotations

import pytest

from argosy.errors import ManifestError
from argosy.local.engine import next_delay
from argosy.local.errors import NodeError
from argosy.local.model import Retry
from argosy.local.node import Attempt, Phase
from argosy.local.parse import parse_retry
from argosy.local.scope import Scope
from tests.local.conftest import Run, node

LAST = {
    "lastRetry.exitCode": "2",
    "lastRetry.status": "Failed",
    "lastRetry.duration": "5",
    "lastRetry.message": "no disk",
}


def attempts(count: int, phase: Phase = Phase.FAILED, code: int = 1) -> list[Attempt]:
    time = "2026-01-01T00:00:00.000Z"
    return [Attempt(f"a({n})", phase, time, time, code, f"exit code {code}") for n in range(count)]


@pytest.mark.parametrize(
    ("retry", "tried", "elapsed", "expected"),
    [
        (Retry(limit="2"), attempts(1), 0, 0),
        (Retry(limit="2"), attempts(2), 0, 0),
        (Retry(limit="2"), attempts(3), 0, None),
        (Retry(limit="0"), attempts(1), 0, None),
        (Retry(), attempts(50), 0, 0),
        (Retry(policy="OnFailure"), attempts(1, Phase.ERROR), 0, None),
        (Retry(policy="OnError"), attempts(1), 0, None),
        (Retry(policy="OnError"), attempts(1, Phase.ERROR), 0, 0),
        (Retry(policy="Always"), attempts(1, Phase.ERROR), 0, 0),
        (Retry(policy="OnTransientError"), attempts(1), 0, None),
        (Retry(duration=3, factor=2), attempts(1), 0, 3),
        (Retry(duration=3, factor=2), attempts(3), 0, 12),
        (Retry(duration=3, factor=2, cap=5), attempts(3), 0, 5),
        (Retry(duration=3, max_duration=10), attempts(2), 6, 3),
        (Retry(duration=3, max_duration=10), attempts(2), 8, None),
        (Retry(policy="Always", expression="asInt(lastRetry.exitCode) != 2"), attempts(1, code=1), 0, 0),
        (Retry(policy="Always", expression="asInt(lastRetry.exitCode) != 2"), attempts(1, code=2), 0, None),
    ],
)
def test_next_delay(retry: Retry, tried: list[Attempt], elapsed: float, expected: float | None) -> None:
    assert next_delay(retry, Scope(), tried, elapsed) == expected


def test_transient_errors_are_told_by_their_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSIENT_ERROR_PATTERN", "code 1$")
    assert next_delay(Retry(policy="OnTransientError"), Scope(), attempts(1), 0) == 0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("asInt(lastRetry.exitCode) >= 2", True),
        ("lastRetry.exitCode == '2'", True),
        ("lastRetry.exitCode == 2", False),  # it is a string
        ("lastRetry.status != \"Error\" && lastRetry.message matches 'disk$'", True),
        ("not (lastRetry.message contains 'network')", True),
        ("lastRetry.exitCode in ['1', '3'] or asFloat(lastRetry.duration) < 4.5", False),
        ("true", True),
    ],
)
def test_expressions(expression: str, expected: bool) -> None:
    assert Scope().inner(LAST).evaluate(expression) is expected


@pytest.mark.parametrize("expression", ["lastRetry.code = 1", "lenn(x) > 1", "1 +", "upper(1) == ''"])
def test_expressions_that_are_refused(expression: str) -> None:
    with pytest.raises(ManifestError, match="retryStrategy: expression"):
        parse_retry({"expression": expression}, "template 'main'")


@pytest.mark.parametrize(
    "expression", ["asInt(lastRetry.message) > 1", "lastRetry.exitCode", "lastRetry.exitCode > 1"]
)
def test_expressions_without_a_truth(expression: str) -> None:
    with pytest.raises(NodeError):
        next_delay(Retry(policy="Always", expression=expression), Scope(), attempts(1), 0.0)


FLAKY = """
templates:
- name: main
  dag: {tasks: [{name: flaky, template: flaky}]}
- name: flaky
  retryStrategy: {limit: %s, %s}
  container: {image: x, command: [sh, -c, "exit $((2 - {{retries}}))"]}
"""


def test_the_third_attempt_succeeds(run: Run) -> None:
    found = node(run(FLAKY % ("'2'", "backoff: {duration: 10ms, factor: 2}")), "flaky")
    assert (found.phase.value, found.exit_code) == ("Succeeded", 0)
    assert [(a.name, a.phase.value, a.exit_code) for a in found.attempts] == [
        ("flaky(0)", "Failed", 2),
        ("flaky(1)", "Failed", 1),
        ("flaky(2)", "Succeeded", 0),
    ]


@pytest.mark.parametrize(
    ("limit", "more", "tried"),
    [
        ("1", "retryPolicy: Always", 2),
        ("5", "retryPolicy: OnError", 1),
        ("5", "expression: \"lastRetry.exitCode == '2'\"", 2),
    ],
)
def test_giving_up(run: Run, limit: str, more: str, tried: int) -> None:
    result = run(FLAKY % (limit, more))
    assert (result.phase.value, len(node(result, "flaky").attempts)) == ("Failed", tried)
