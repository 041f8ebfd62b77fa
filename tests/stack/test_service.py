"""A server that does not come up is reported with its name, its exit code and its last words."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from argosy.errors import StackError
from argosy.stack import process
from argosy.stack.service import Cancelled, Service, Unwell, inherited


def never() -> None:
    raise Unwell("nobody listens")


@pytest.fixture
def service(tmp_path: Path) -> Callable[..., Service]:
    def make(code: str, check: Callable[[], None] = never, start_within: float = 30) -> Service:
        return Service(
            name="clock",
            address="http://127.0.0.1:1",
            command=(sys.executable, "-c", code),
            environment={"A": "1"},
            folder=tmp_path,
            log=tmp_path / "clock.log",
            check=check,
            start_within=start_within,
        )

    return make


def test_a_server_that_ends_while_it_starts(service):
    one = service("print('spring broken'); raise SystemExit(3)")
    with pytest.raises(StackError, match=r"clock ended with exit code 3(?s:.)*clock\.log:\nspring broken"):
        one.wait_until_well(one.start(), threading.Event())


def test_a_server_that_is_never_ready(service):
    one = service("import time; time.sleep(60)", start_within=0.1)
    child = one.start()
    with pytest.raises(StackError, match=r"clock was not ready in 0 s \(nobody listens\)"):
        one.wait_until_well(child, threading.Event())
    process.stop(process.identify(child.pid), 5)


def test_a_start_that_is_called_off(service):
    one, cancel = service("import time; time.sleep(60)"), threading.Event()
    child = one.start()
    cancel.set()
    with pytest.raises(Cancelled):
        one.wait_until_well(child, cancel)
    process.stop(process.identify(child.pid), 5)


def test_a_command_that_does_not_exist(service, tmp_path: Path):
    broken = Service("clock", "", ("/no/such/clock",), {}, tmp_path, tmp_path / "clock.log", never)
    with pytest.raises(StackError, match=r"clock cannot be started: .*/no/such/clock"):
        broken.start()


def test_other_settings_have_another_digest(service):
    assert service("1").digest() == service("1").digest() != service("2").digest()


def test_foreign_settings_do_not_reach_a_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "somebody else's")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("LANG", "C.UTF-8")
    assert not {"AWS_SESSION_TOKEN", "MLFLOW_TRACKING_URI"} & inherited().keys()
    assert inherited()["LANG"] == "C.UTF-8"
