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

from argosy.cluster import Destination
from argosy.cluster.failures import SubmitError
from argosy.cluster.follow import follow
from argosy.cluster.nodes import failures_of, nodes_of
from argosy.cluster.view import show
from tests.cluster import programs
from tests.cluster.conftest import Run
from tests.cluster.server import TOKEN, Server
from tests.cluster.workflows import node, pod, status

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
    controller(status(phase, b=node("second", phase, kind="Suspend", message="exit code\n 3")))
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
    monkeypatch.setattr("argosy.cluster.follow._QUIET", 0.01)
    server.stream_limit = 1
    controller(status("Succeeded"), lambda: server.faults.append("refuse"))
    assert argosy("submit", greet, "--watch").exit_code == 0


def test_where_watching_is_not_allowed_it_looks_again(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argosy.cluster.follow._QUIET", 0.01)
    server.may_watch = False
    controller(status("Succeeded"))
    assert argosy("submit", greet, "--watch").exit_code == 0


def test_through_argo_server_each_state_is_seen_in_one_stream(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    controller(status("Succeeded", a=node("first", "Succeeded"), b=node("second", "Succeeded")))
    result = argosy("submit", greet, "--watch", "--server", server.url, "-n", "team")
    assert result.exit_code == 0, result.output
    assert "✔ second  1m05s  Succeeded" in result.stderr.splitlines()
    assert server.requests.count(("GET", "/api/v1/workflow-events/team")) == 1
    assert server.requests.count(("GET", "/api/v1/workflows/team/greet")) == 1


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_both_forms_of_argo_servers_stream_are_read(
    server: Server, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    monkeypatch.setattr("argosy.cluster.argo_server_api.EVENT_STREAM", accept)
    server.stream_seconds = 0.2
    made = server.store.create("workflows", "team", {"kind": "Workflow", "metadata": {"name": "greet"}})
    server.store.set_status("team", "greet", status("Running"))
    api, namespace = Destination(server=server.url, namespace="team").connect({})
    assert [w["status"]["phase"] for w in api.changes(namespace, made)] == ["Running"]


def test_a_stream_that_argo_server_ends_is_opened_again(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    monkeypatch.setattr("argosy.cluster.follow._QUIET", 0.01)
    server.stream_seconds = 0.05

    def opened_twice() -> None:
        while server.requests.count(("GET", "/api/v1/workflow-events/team")) < 2:
            time.sleep(0.01)

    controller(status("Succeeded"), opened_twice)
    result = argosy("submit", greet, "--watch", "--server", server.url, "-n", "team")
    assert result.exit_code == 0, result.output


def test_omitted_steps_are_one_line(
    server: Server, argosy: Run, greet: Path, controller: Callable[..., None]
) -> None:
    nodes = {"b": node("deploy", "Omitted"), "c": node("verify", "Omitted"), "d": node("alias", "Omitted")}
    controller(status("Failed", a=node("gate", "Failed", kind="Suspend"), **nodes))
    result = argosy("submit", greet, "--watch")
    assert [line for line in result.stderr.splitlines() if "mitted" in line] == [
        "○ omitted: alias, deploy, verify"
    ]
    out = io.StringIO()
    done = {"metadata": {"name": "greet"}, "status": status("Failed", **nodes)}
    show(Console(file=out, force_terminal=True, width=80, color_system=None), [done])
    assert out.getvalue().count("mitted") == 1 and "○ omitted: alias, deploy, verify" in out.getvalue()


@pytest.mark.parametrize("through", ["kubernetes", "argo server"])
def test_a_failed_workflow_ends_with_the_last_lines_and_the_command_for_the_rest(
    server: Server,
    argosy: Run,
    greet: Path,
    controller: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    through: str,
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    log = "".join(f"line {n}\n" for n in range(100)) + "promote: [bold]no metric\n"
    pod(server, "greet-second-1234", "Failed", log)
    controller(status("Failed", **{"greet-1234": node("second", "Failed", templateName="second")}))
    options = ["--server", server.url] if through == "argo server" else []
    result = argosy("submit", greet, "--watch", "-n", "team", *options)
    lines = result.stderr.splitlines()
    assert lines[-2] == "  promote: [bold]no metric"
    assert "second: the last lines of pod greet-second-1234" in lines
    assert "  line 99" in lines and "  line 0" not in lines
    assert lines[-1] == " ".join(["all of it: argosy logs team/greet second", *options])


def test_couler_run_watches_as_well(server: Server, couler: Run, controller: Callable[..., None]) -> None:
    pod(server, "greet-second-1234", "Failed", "it was me\n")
    Path("greet.py").write_text(
        programs.STEP + "from couler.core import states\n"
        "states.workflow.name, states.workflow.generate_name = 'greet', None\n"
    )
    controller(status("Failed", **{"greet-1234": node("second", "Failed", templateName="second")}))
    result = couler("run", "greet.py", "--watch")
    assert result.exit_code == 1, result.output
    assert result.stderr.splitlines()[-2:] == ["  it was me", "all of it: argosy logs team/greet second"]


def test_only_the_last_attempt_of_a_failed_step_is_shown() -> None:
    attempts = {
        "greet-1": node("train(0)", "Failed", name="greet.train(0)", templateName="train"),
        "greet-2": node(
            "train(1)",
            "Failed",
            name="greet.train(1)",
            templateName="train",
            startedAt="2026-01-02T04:00:00Z",
        ),
        "greet-3": node("late(0)", "Failed", name="greet.late(0)", templateName="late"),
    }
    steps = {
        "t": node("train", "Failed", "Retry", name="greet.train", children=["greet-1", "greet-2"]),
        "l": node("late", "Succeeded", "Retry", name="greet.late", children=["greet-3"]),
    }
    found = {"metadata": {"name": "greet"}, "status": status("Failed", **steps, **attempts)}
    assert [n.pod for n in failures_of(found)] == ["greet-train-2"]


@pytest.mark.parametrize(
    ("content", "metadata", "name"),
    [
        ({"name": "greet.a", "templateName": "say"}, {}, "greet-say-77"),
        ({"name": "greet", "templateName": "say"}, {}, "greet"),
        ({"name": "greet.a", "templateRef": {"name": "lib", "template": "say"}}, {}, "greet-say-77"),
        ({"name": "greet.a.inline", "templateName": "say"}, {}, "greet-77"),
        (
            {"name": "greet.a", "templateName": "say"},
            {"annotations": {"workflows.argoproj.io/pod-name-format": "v1"}},
            "greet-77",
        ),
        ({"name": "greet.a", "templateName": "x" * 300}, {}, "greet-" + "x" * 236 + "-77"),
    ],
)
def test_a_pod_has_argos_name(content: dict[str, Any], metadata: dict[str, Any], name: str) -> None:
    workflow = {
        "metadata": {"name": "greet", **metadata},
        "status": {"nodes": {"greet-77": {"type": "Pod", **content}}},
    }
    assert [n.pod for n in nodes_of(workflow)] == [name]


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
    monkeypatch.setattr("argosy.cluster.view.show", interrupt)
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
