"""Single keys of a terminal, which may be closed at any moment."""

import os
import pty

import pytest

from argosy.local.console import Keys


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal that is standard input; its other end."""
    other, own = pty.openpty()
    monkeypatch.setattr("sys.stdin", os.fdopen(own))
    return other


def test_a_key_needs_no_enter(terminal: int) -> None:
    keys = Keys()
    keys.start()
    os.write(terminal, b"q")
    assert keys.pressed(10) == b"q" and not keys.gone
    keys.stop()
    os.close(terminal)


def test_a_terminal_that_was_closed_during_a_question_is_gone_and_no_error(terminal: int) -> None:
    keys = Keys()
    keys.start()
    with keys.asking():
        os.close(terminal)
    assert keys.gone
    assert keys.pressed(0) == b""
    keys.stop()
