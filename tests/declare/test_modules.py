"""The name that a file is imported by does not depend on where one stands."""

import sys
from pathlib import Path

import pytest

from argosy.declare.modules import home_of


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_package_starts_at_its_topmost_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "pyproject.toml")
    file = made(tmp_path / "deep/team_a/flows/inline.py")
    made(tmp_path / "deep/team_a/__init__.py"), made(tmp_path / "deep/team_a/flows/__init__.py")
    for here in (tmp_path, tmp_path / "deep", file.parent):
        monkeypatch.chdir(here)
        home = home_of(file)
        assert (home.name, home.folders) == ("team_a.flows.inline", (str(tmp_path / "deep"),))


@pytest.mark.parametrize("marker", ["pyproject.toml", "setup.cfg", "setup.py", "argosy.yaml"])
def test_folders_without_init_start_at_the_top_of_the_project(
    marker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / marker)
    file = made(tmp_path / "team_b/flows/inline.py")
    for here in (tmp_path, file.parent):
        monkeypatch.chdir(here)
        home = home_of(Path(file.name) if here == file.parent else file)
        assert home.name == "team_b.flows.inline"
        assert home.folders == (str(tmp_path), str(file.parent))


def test_a_project_with_src_starts_there(tmp_path: Path) -> None:
    made(tmp_path / "setup.py")
    assert home_of(made(tmp_path / "src/team_c/inline.py")).name == "team_c.inline"


def test_the_path_of_python_goes_before_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "pyproject.toml")
    file = made(tmp_path / "lib/team_d/inline.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    assert home_of(file).name == "team_d.inline"


def test_without_a_project_it_is_the_current_directory(tmp_path: Path) -> None:
    assert home_of(made(tmp_path / "team_e/flows/inline.py")).name == "team_e.flows.inline"


@pytest.mark.parametrize("folder", ["my-flows", "json", "pytest", "class"])
def test_a_folder_that_no_import_can_name_is_passed_over(folder: str, tmp_path: Path) -> None:
    home = home_of(made(tmp_path / folder / "inline_f.py"))
    assert (home.name, home.folders) == ("inline_f", (str(tmp_path / folder),))
