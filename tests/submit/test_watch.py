"""`--watch`: a workflow followed to its end."""

import base64
import gzip
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from argosy.submit import Destination
from argosy.submit.errors import SubmitError
from argosy.submit.follow import follow
from argosy.submit.nodes import nodes_of
from argosy.submit.view import show
from tests.submit import programs
from tests.submit.conftest import Run
from tests.submit.server import TOKEN, Server


def node(name: str, phase: str, kind: str = "Pod", parent: str = "greet", **more: Any) -> dict[str, Any]:
    started = {"startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:05:10Z"}
    return {
        "displayName": name,
        "name": name,
        "phase": phase,
        "type": kind,
        "boundaryID": parent,
        **started,
        **more,
    }


def status(phase: str, **nodes: dict[str, Any]) -> dict[str, Any]:
    root = node("greet", phase, "DAG", "")
    return {"phase": phase, "nodes": {"greet": root, **nodes}}


STORY = [
    status("Running", a=node("first", "Running")),
    status("Running", a=node("first", "Succeeded"), b=node("second", "Running")),
]


@pytest.fixture
def greet() -> Path:
    path = Path("greet.yaml")
    path.write_text(programs.MANIFEST.format(kind="Workflow", name="name: greet"), encoding="utf-8")
    return path


@pytest.fixture
def controller(server: Server) -> Callable[..., None]:
    """Plays a story, once the workflow is there, as the workflow's controller would."""

    def play(last: dict[str, Any], between: Callable[[], None] = lambda: None) -> None:
        def act() -> None:
            while ("workflows", "team", "greet") not in server.store.objects:
                time.sleep(0.01)
            for now in [*STORY, last]:
                time.sleep(0.05)
                between()
                server.store.set_status("team", "greet", now)

        threading.Thread(target=act, daemon=True).start()

    return play


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1), ("Error", 1)])
def test_the_exit_code_is_the_workflows(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], phase: str, code: int
) -> None:
    controller(status(phase, b=node("second", phase, message="exit code\n 3")))
    result = argosy("submit", greet, "--watch")
    assert result.exit_code == code, result.output
    assert result.stdout == "Workflow 'greet' created in namespace 'team'\n"
    lines = result.stderr.splitlines()
    assert "✔ first  1m05s  Succeeded" in lines
    assert any("second  1m05s" in line and line.endswith(f"{phase}  exit code 3") for line in lines)
    assert lines[-1] == f"workflow greet  {phase}"


def test_a_stream_that_is_cut_is_taken_up_again(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argosy.submit.follow._QUIET", 0.01)
    server.stream_limit = 1
    controller(status("Succeeded"), lambda: server.faults.append("refuse"))
    assert argosy("submit", greet, "--watch").exit_code == 0


def test_where_watching_is_not_allowed_it_looks_again(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argosy.submit.follow._QUIET", 0.01)
    server.may_watch = False
    controller(status("Succeeded"))
    assert argosy("submit", greet, "--watch").exit_code == 0


def test_through_argo_server(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    controller(status("Succeeded"))
    result = argosy("submit", greet, "--watch", "--server", server.url, "-n", "team")
    assert result.exit_code == 0, result.output
    assert ("GET", "/api/v1/workflow-events/team") in server.requests


def test_a_deleted_workflow_is_told(server: Server, argosy: Run, greet: Path) -> None:
    def delete() -> None:
        while not server.store.watchers:
            time.sleep(0.01)
        server.store.delete("workflows", "team", "greet")

    threading.Thread(target=delete, daemon=True).start()
    result = argosy("submit", greet, "--watch")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "argosy: Workflow 'greet' was deleted from namespace 'team'"


def test_a_server_that_stays_away(server: Server) -> None:
    server.store.create("workflows", "team", {"kind": "Workflow", "metadata": {"name": "greet"}})
    server.faults = [503] * 50
    api, namespace = Destination().connect({})
    waits: list[float] = []
    with pytest.raises(SubmitError, match="cannot read Workflow 'greet' in namespace 'team' now"):
        list(follow(api, namespace, "greet", sleep=waits.append))
    assert waits == sorted(waits) and len(waits) == 3


def test_interrupted(server: Server, argosy: Run, greet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    server.store.namespaces.add("team")
    monkeypatch.setattr("argosy.submit.view.show", interrupt)
    result = argosy("submit", greet, "--watch")
    assert result.exit_code == 130
    assert "no longer watched; Workflow 'greet' goes on in 'team'" in result.stderr
    assert ("workflows", "team", "greet") in server.store.objects


def test_the_tree_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    done = {"metadata": {"name": "greet"}, "status": status("Succeeded", a=node("first", "Succeeded"))}
    assert show(console, [done]) == done
    assert "workflow greet  Succeeded" in out.getvalue()
    assert "└── ✔ greet" in out.getvalue() and "    └── ✔ first  1m05s" in out.getvalue()


def test_attempts_and_items_stand_in_their_step() -> None:
    raw = {
        "greet": node("greet", "Running", "DAG", ""),
        "r": node("greet.step", "Failed", "Retry", children=["r0", "r1"]),
        "r1": node("greet.step(1)", "Failed"),
        "r0": node("greet.step(0)", "Failed"),
        "loop": node("greet.loop", "Running", "TaskGroup", children=["i0"]),
        "i0": node("greet.loop(0:a)", "Running"),
    }
    nodes = nodes_of({"metadata": {"name": "greet"}, "status": {"nodes": raw}})
    assert {n.id: n.parent for n in nodes} == {
        "greet": "",
        "r": "greet",
        "r0": "r",
        "r1": "r",
        "loop": "greet",
        "i0": "loop",
    }
    assert [n.id for n in nodes].index("r") < [n.id for n in nodes].index("r0")


def test_packed_nodes_are_unpacked() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps({"a": node("a", "Running")}).encode())).decode()
    assert [n.name for n in nodes_of({"status": {"compressedNodes": packed}})] == ["a"]
    assert nodes_of({"status": {"compressedNodes": "no base64!"}}) == []
    assert nodes_of({}) == []
