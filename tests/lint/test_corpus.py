"""What Argo's validator takes passes, what it refuses is refused by the rule that should."""

import pytest

from argosy.lint import lint_manifest
from tests.lint.cases import FIXTURES, Case, corpus


@pytest.mark.parametrize("case", corpus(), ids=lambda c: c.name)
def test_a_case_has_exactly_its_errors(case: Case) -> None:
    errors = [v for v in lint_manifest(case.text) if v.is_error]
    assert {v.code for v in errors} == case.errors, [v.line_for_people() for v in errors]


def test_the_corpus_is_large_enough() -> None:
    assert len(corpus()) + len(list(FIXTURES.glob("*/*.yaml"))) >= 300
