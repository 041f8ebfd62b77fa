"""Our own manifests are clean: the compiled pipelines, and all else in the repository."""

from pathlib import Path

import pytest

from argosy.lint import lint_paths

ROOT = Path(__file__).parents[2]
FOLDERS = [f for f in (ROOT / "pipelines", ROOT / "examples", ROOT / "docs") if f.is_dir()]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_what_is_committed_has_no_error(folder: Path) -> None:
    errors = [v.line_for_people() for v in lint_paths([folder]) if v.is_error]
    assert errors == []


def test_the_pipelines_are_among_it() -> None:
    assert list((ROOT / "pipelines" / "compiled").glob("*.yaml"))
