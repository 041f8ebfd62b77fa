"""The state folder: whole or absent files, private credentials, one command at a time."""

import json
import stat
import threading
from pathlib import Path

import pytest

from argosy.errors import StackError
from argosy.stack.process import ProcessId
from argosy.stack.state import Launched, State, StateFolder

STATE = State({"mlflow": 12345}, {"mlflow": Launched(ProcessId(77, 1234.5), "abc")})


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def test_what_is_saved_is_loaded(folder: StateFolder):
    folder.save(STATE)
    assert folder.load() == STATE


def test_a_new_folder_has_an_empty_state(folder: StateFolder):
    assert folder.load() == State()
    assert folder.credentials() is None
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"format": 99}', '{"format": 1, "ports": {"a": "x"}, "services": {}}'],
)
def test_a_damaged_state_is_an_error_that_says_what_to_do(folder: StateFolder, text: str):
    folder.path.mkdir()
    (folder.path / "state.json").write_text(text)
    with pytest.raises(StackError, match=r"state\.json cannot be read.*delete the folder"):
        folder.load()


def test_a_failed_save_leaves_the_old_state(folder: StateFolder, monkeypatch: pytest.MonkeyPatch):
    folder.save(STATE)

    def full_disk(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        folder.save(State())
    assert folder.load() == STATE
    assert [path.name for path in folder.path.iterdir()] == ["state.json"]


def test_credentials_are_made_once_and_are_private(folder: StateFolder):
    made = folder.ensure_credentials()
    assert folder.ensure_credentials() == made == folder.credentials()
    assert stat.S_IMODE((folder.path / "credentials.json").stat().st_mode) == 0o600
    assert made.secret_key not in repr(made)


def test_two_folders_have_different_credentials(tmp_path: Path):
    assert (
        StateFolder(tmp_path / "a").ensure_credentials() != StateFolder(tmp_path / "b").ensure_credentials()
    )


def test_damaged_credentials_are_not_replaced_silently(folder: StateFolder):
    folder.path.mkdir()
    (folder.path / "credentials.json").write_text(json.dumps({"access_key": "a"}))
    with pytest.raises(StackError, match=r"credentials\.json"):
        folder.ensure_credentials()


def test_the_lock_lets_one_in_and_tells_the_other_that_it_waits(folder: StateFolder):
    events: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with folder.locked(lambda line: waiting.set()):
            events.append("second")

    with folder.locked(events.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        events.append("first")
    thread.join(10)
    assert events == ["first", "second"]
