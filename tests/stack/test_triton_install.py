"""Where Triton's environment is kept, and what is said when it cannot be made."""

import sys
from pathlib import Path

import pytest

from argosy.errors import StackError
from argosy.stack import prepare_triton, serving


def test_stacks_share_the_environment_of_their_interpreter(tmp_path: Path):
    one, two = serving.locate_triton(tmp_path / "one"), serving.locate_triton(tmp_path / "two")
    assert one == two
    assert one.root.is_relative_to(Path(sys.prefix) / "share" / "argosy")


def test_an_interpreter_that_cannot_be_written_to_leaves_it_to_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "prefix", "/proc/none")
    assert serving.locate_triton(tmp_path).root.parent == tmp_path


def test_a_python_without_shared_library_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(serving, "_library_folders", lambda: iter([tmp_path]))
    with pytest.raises(StackError, match=r"apt-get install libpython3\.\d+"):
        prepare_triton(state_folder=tmp_path)


def test_a_failed_installation_leaves_nothing_and_shows_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pins = tmp_path / "requirements.txt"
    pins.write_text("numpy==0.0.0.1\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    (tmp_path / "prefix").mkdir()
    monkeypatch.setattr(serving, "_REQUIREMENTS", pins)
    with pytest.raises(StackError, match=r"pip ended with exit code 1(?s:.)*numpy==0\.0\.0\.1"):
        prepare_triton(state_folder=tmp_path)
    left = [path.suffix for path in (tmp_path / "prefix" / "share" / "argosy").iterdir()]
    assert left == [".lock"]
