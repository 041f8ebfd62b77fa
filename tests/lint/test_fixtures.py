"""Every rule has a bad manifest that breaks it alone, and a good one that breaks nothing.

`bad.out` is what people see. After a deliberate change of a message:
`REGENERATE=1 pytest tests/lint/test_fixtures.py`.
"""

import os
from pathlib import Path

import pytest

from argosy.lint.engine import lint_sources
from argosy.lint.registry import Violation, rules
from argosy.lint.report import text
from argosy.manifest.reading import read
from tests.lint.cases import FIXTURES


def lint(path: Path) -> list[Violation]:
    """Lint under the bare file name, so that the golden output holds no folder."""
    return lint_sources([read(path.name, path.read_bytes())])


def test_every_rule_has_fixtures_and_every_fixture_a_rule() -> None:
    assert sorted(p.name for p in FIXTURES.iterdir()) == sorted(rules())


@pytest.mark.parametrize("code", rules())
def test_bad_breaks_this_rule_alone(code: str) -> None:
    found = lint(FIXTURES / code / "bad.yaml")
    assert {v.code for v in found} == {code}, [v.line_for_people() for v in found]
    assert {v.severity for v in found} == {rules()[code].severity}


@pytest.mark.parametrize("code", rules())
def test_good_breaks_nothing(code: str) -> None:
    assert lint(FIXTURES / code / "good.yaml") == []


@pytest.mark.parametrize("code", rules())
def test_the_output_is_as_committed(code: str) -> None:
    output = text(lint(FIXTURES / code / "bad.yaml")) + "\n"
    golden = FIXTURES / code / "bad.out"
    if os.environ.get("REGENERATE"):
        golden.write_text(output, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == output


@pytest.mark.parametrize("code", rules())
def test_a_finding_says_where_and_what_to_do(code: str) -> None:
    lines = (FIXTURES / code / "bad.yaml").read_text(encoding="utf-8").count("\n") + 1
    for violation in lint(FIXTURES / code / "bad.yaml"):
        assert 1 <= violation.line <= lines
        assert violation.message and not violation.message.endswith(".")
        assert violation.hint.endswith((".", "?")) or code in ("ARG001", "ARG004")
