"""What is generated is as committed: the pages of the rules, the table of the schema."""

import pytest

from argosy.lint.pages import FOLDER, pages
from argosy.lint.schema_generate import TARGET, text


def test_the_pages_are_as_committed() -> None:
    committed = {p.name: p.read_text(encoding="utf-8") for p in FOLDER.glob("*.md")}
    assert committed == pages(), "run 'python -m argosy.lint.pages'"


def test_the_schema_is_that_of_hera() -> None:
    pytest.importorskip("hera")
    assert TARGET.read_text(encoding="utf-8") == text(), "run 'python -m argosy.lint.schema_generate'"
