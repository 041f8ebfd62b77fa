"""Processes are recognised by more than their number, and stopped with their children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from argosy.stack import process
from argosy.stack.process import ProcessId

SLEEP = "import time; time.sleep(60)"
IGNORE_TERM = (
    f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
)
# A parent whose child outlives it: what a server killed with SIGKILL leaves behind.
CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
WITH_CHILD = f"{CHILD}; print('ready', flush=True); {SLEEP}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "one.log"


@pytest.fixture
def start(log: Path, tmp_path: Path) -> Iterator:
    """Start Python code as a server; whatever it leaves is killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str, ready: bool = False) -> ProcessId:
        child = process.start([sys.executable, "-c", code], os.environ, log, tmp_path)
        started.append(child)
        deadline = time.monotonic() + 30
        while ready and b"ready" not in log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.01)
        return process.identify(child.pid)

    yield run
    for child in started:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            child.wait()


def test_a_running_process_is_found(start):
    identity = start(SLEEP)
    found = identity.find()
    assert found is not None and found.pid == identity.pid


def test_a_recycled_number_is_another_process(start):
    identity = start(SLEEP)
    older = replace(identity, created=identity.created - 60)
    assert older.find() is None
    assert process.stop(older, patience=1) is False
    assert identity.find() is not None


def test_a_process_that_ended_but_was_not_collected_is_gone(start):
    identity = start("pass")
    assert process.wait_gone(identity, 30)
    assert psutil.pid_exists(identity.pid)


def test_a_server_has_a_session_of_its_own(start):
    identity = start(SLEEP)
    assert os.getsid(identity.pid) == identity.pid != os.getsid(0)


def test_stop_ends_a_server_that_listens_to_sigterm(start):
    identity = start(SLEEP)
    assert process.stop(identity, patience=30) is True
    assert identity.find() is None
    assert process.stop(identity, patience=30) is False


def test_stop_kills_a_server_that_does_not_listen(start):
    identity = start(IGNORE_TERM, ready=True)
    assert process.stop(identity, patience=0.1) is True
    assert identity.find() is None


def test_stop_ends_the_children_that_a_dead_server_left(start):
    identity = start(WITH_CHILD, ready=True)
    (child,) = psutil.Process(identity.pid).children()
    os.kill(identity.pid, signal.SIGKILL)
    assert process.wait_gone(identity, 30)
    assert process.stop(identity, patience=1) is True
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_log_of_the_last_start_is_kept_once(start, log: Path):
    for word in ("one", "two", "three"):
        process.wait_gone(start(f"print('{word}')"), 30)
    assert log.read_text() == "three\n"
    assert log.with_suffix(".previous.log").read_text() == "two\n"


@pytest.mark.parametrize(
    ("text", "last"),
    [("a\nb\nc\n", "b\nc"), ("a\n\n\n", "a"), ("", "(it wrote nothing)"), ("\xff", "\xff")],
)
def test_tail(log: Path, text: str, last: str):
    log.parent.mkdir()
    log.write_text(text)
    assert process.tail(log, lines=2) == last


def test_tail_of_a_log_that_is_not_there(log: Path):
    assert process.tail(log) == "(it wrote nothing)"
