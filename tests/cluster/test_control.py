"""`argosy get`, `logs`, `stop`, `retry`, `resume`: a workflow of a cluster, through either API."""

import base64
import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from argosy.cluster import Destination
from argosy.cluster.control import resumed, retried
from argosy.cluster.logs import read_log
from argosy.cluster.nodes import nodes_of
from tests.cluster.conftest import Run
from tests.cluster.server import TOKEN, Server
from tests.cluster.workflows import node, pod, status
from tests.documents import hold

FAILED = status(
    "Failed",
    **{
        "greet-1": node("first", "Succeeded", templateName="say"),
        "greet-2": node("second", "Failed", templateName="say"),
        "greet-3": node("third", "Omitted", "Skipped"),
        "greet-4": node("greet.onExit", "Succeeded", parent="", templateName="bye"),
    },
)
FAILED["nodes"]["greet"] |= {"children": ["greet-1"], "outboundNodes": ["greet-3"]}
FAILED["nodes"]["greet-1"]["children"] = ["greet-2", "greet-3"]
WAITS = status(
    "Running",
    a=node("approve", "Running", "Suspend"),
    b=node("budget", "Running", "Suspend"),
)


@pytest.fixture(params=["kubernetes", "argo server"])
def options(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that lead through one of the two APIs."""
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    return ["--server", server.url] if request.param == "argo server" else []


def given(server: Server, found: dict[str, Any], **metadata: Any) -> None:
    """A workflow `greet` in the namespace `team`, with this status."""
    body = {"kind": "Workflow", "metadata": {"name": "greet", **metadata}, "spec": {}}
    server.store.create("workflows", "team", body)
    server.store.set_status("team", "greet", found)


def now(server: Server) -> dict[str, Any]:
    return server.store.get("workflows", "team", "greet")


def phases(workflow: dict[str, Any]) -> dict[str, str]:
    return {n.name: n.phase for n in nodes_of(workflow)}


def test_get_shows_the_tree(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, FAILED)
    result = argosy("get", "team/greet", *options)
    assert result.exit_code == 0, result.output
    assert "workflow greet  Failed" in result.output
    assert "✖ second  1m05s  Failed" in result.output and "○ omitted: third" in result.output
    assert "logs: argosy logs team/greet STEP" in result.output
    assert hold("get", argosy("get", "team/greet", "--output", "json", *options).stdout)["kind"] == "Workflow"


def test_stop(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, WAITS)
    result = argosy("stop", "team/greet", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout == "Workflow 'greet' stops in namespace 'team'\n"
    assert now(server)["spec"]["shutdown"] == "Stop"


def test_what_has_ended_is_not_stopped(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, status("Succeeded"))
    result = argosy("stop", "team/greet", *options)
    assert result.exit_code == 2
    assert result.stderr == "argosy: Workflow 'greet' has ended: it Succeeded\n"
    assert "shutdown" not in now(server)["spec"]


def test_resume_gives_every_approval(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, WAITS)
    assert argosy("resume", "team/greet", *options).exit_code == 0
    assert phases(now(server)) == {"greet": "Running", "approve": "Succeeded", "budget": "Succeeded"}


def test_resume_gives_one_approval(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, WAITS)
    assert argosy("resume", "team/greet", "budget", *options).exit_code == 0
    assert phases(now(server)) == {"greet": "Running", "approve": "Running", "budget": "Succeeded"}


@pytest.mark.parametrize(
    ("step", "found", "message"),
    [
        ([], status("Running"), "Workflow 'greet' does not wait: it is Running"),
        (["budge"], WAITS, "Workflow 'greet' does not wait at 'budge'; did you mean 'budget'?"),
    ],
)
def test_where_nothing_waits_that_is_said(
    server: Server, argosy: Run, options: list[str], step: list[str], found: dict[str, Any], message: str
) -> None:
    given(server, found)
    result = argosy("resume", "team/greet", *step, *options)
    assert result.exit_code == 2 and message in result.stderr
    assert {method for method, _ in server.requests} == {"GET"}


def test_retry_keeps_what_succeeded(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, FAILED, labels={"workflows.argoproj.io/completed": "true"})
    pod(server, "greet-say-1", "Succeeded")
    pod(server, "greet-say-2", "Failed")
    result = argosy("retry", "team/greet", *options)
    assert result.exit_code == 0, result.output
    assert now(server)["status"]["phase"] == "Running"
    assert phases(now(server))["first"] == "Succeeded"
    assert "second" not in phases(now(server))


def test_through_kubernetes_retry_does_what_argos_client_does(server: Server, argosy: Run) -> None:
    labels = {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/phase": "Failed", "mine": "1"}
    given(server, {**FAILED, "message": "child failed", "finishedAt": "2026-01-02T03:05:10Z"}, labels=labels)
    for name in ("greet-say-1", "greet-say-2", "greet-bye-4"):
        pod(server, name, "Succeeded")
    assert argosy("retry", "greet").exit_code == 0
    found = now(server)
    assert found["metadata"]["labels"] == {"workflows.argoproj.io/phase": "Running", "mine": "1"}
    assert "message" not in found["status"] and found["status"]["finishedAt"] is None
    assert phases(found) == {"greet": "Running", "first": "Succeeded"}
    assert found["status"]["nodes"]["greet-1"]["children"] == []
    pods = {name for plural, _, name in server.store.objects if plural == "pods"}
    assert pods == {"greet-say-1"}


def test_only_a_failed_workflow_is_retried(server: Server, argosy: Run) -> None:
    given(server, status("Succeeded"))
    result = argosy("retry", "team/greet")
    assert result.exit_code == 2
    assert "Workflow 'greet' is Succeeded; only a failed one is retried" in result.stderr


def test_packed_nodes_stay_packed() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(FAILED["nodes"]).encode())).decode()
    workflow = {
        "metadata": {"name": "greet"},
        "spec": {},
        "status": {"phase": "Failed", "compressedNodes": packed},
    }
    again, gone = retried(workflow)
    assert "nodes" not in again["status"] and sorted(gone) == ["greet-2", "greet-3", "greet-4"]
    assert phases(again) == {"greet": "Running", "first": "Succeeded"}


def test_nodes_in_the_controllers_database_need_argo_server(server: Server, argosy: Run) -> None:
    given(server, {"phase": "Failed", "offloadNodeStatusVersion": "fnv:1"})
    result = argosy("retry", "team/greet")
    assert result.exit_code == 2 and "go through Argo Server, with --server URL" in result.stderr


def test_an_approval_that_wants_a_value_is_told() -> None:
    source: dict[str, Any] = {"supplied": {}}
    parameter = {"name": "why", "valueFrom": source}
    found = status("Running", a=node("approve", "Running", "Suspend", outputs={"parameters": [parameter]}))
    workflow = {"metadata": {"name": "greet"}, "spec": {}, "status": found}
    with pytest.raises(Exception, match="'approve' wants a value for 'why'"):
        resumed(workflow, None)
    source["default"] = "ok"
    given_now = resumed(workflow, None)["status"]["nodes"]["a"]
    assert given_now["outputs"]["parameters"][0]["value"] == "ok"


def test_a_workflow_that_is_not_there(server: Server, argosy: Run, options: list[str]) -> None:
    for verb in ("get", "logs", "stop", "retry", "resume"):
        result = argosy(verb, "team/nobody", *options)
        assert result.exit_code == 1
        assert (
            "Workflow 'nobody' in namespace 'team': workflows.argoproj.io \"nobody\" not found"
            in result.stderr
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a/b/c"], "'a/b/c' names no workflow; write NAMESPACE/WORKFLOW"),
        (["/b"], "'/b' names no workflow"),
        (["a/b", "-n", "c"], "'a/b' names the namespace 'a', and -n 'c'"),
    ],
)
def test_a_name_that_is_none(server: Server, argosy: Run, words: list[str], message: str) -> None:
    result = argosy("get", *words)
    assert result.exit_code == 2 and message in result.stderr


def test_logs_of_all_steps_and_of_one(server: Server, argosy: Run, options: list[str]) -> None:
    given(server, FAILED)
    pod(server, "greet-say-1", "Succeeded", "hello\nworld")
    pod(server, "greet-say-2", "Failed", "no\n\nway\n")
    pod(server, "greet-bye-4", "Succeeded", "")
    assert argosy("logs", "team/greet", *options).stdout.splitlines() == [
        "first: hello",
        "first: world",
        "second: no",
        "second: ",
        "second: way",
    ]
    assert argosy("logs", "team/greet", "second", *options).stdout == "no\n\nway\n"
    assert argosy("logs", "team/greet", "second", "--tail", "1", *options).stdout == "way\n"


def test_a_step_of_several_attempts_shows_them_all(server: Server, argosy: Run) -> None:
    nodes = {
        "r": node("train", "Failed", "Retry", name="greet.train", children=["greet-1", "greet-2"]),
        "greet-1": node("train(0)", "Failed", name="greet.train(0)", templateName="train"),
        "greet-2": node("train(1)", "Failed", name="greet.train(1)", templateName="train"),
    }
    given(server, status("Failed", **nodes))
    for number in (1, 2):
        pod(server, f"greet-train-{number}", "Failed", f"attempt {number}\n")
    assert argosy("logs", "team/greet", "train").stdout == "attempt 1\nattempt 2\n"


def test_unknown_and_silent_steps(server: Server, argosy: Run) -> None:
    given(server, FAILED)
    result = argosy("logs", "team/greet", "secnod")
    assert result.exit_code == 2
    assert "Workflow 'greet' has no step 'secnod'; did you mean 'second'?" in result.stderr
    result = argosy("logs", "team/greet", "third")
    assert "'third' of Workflow 'greet' has no log: it is Omitted" in result.stderr


def test_followed_logs_go_on_until_the_end(server: Server, argosy: Run, options: list[str]) -> None:
    running = {"greet-1": node("first", "Running", templateName="say")}
    given(server, status("Running", **running))
    pod(server, "greet-say-1", "Running", "one\n")

    def go_on() -> None:
        while not any(path.endswith("/log") for _, path in server.requests):
            server.stopping.wait(0.01)
        server.store.logs["team", "greet-say-1", "main"] += "two\n"
        pod(server, "greet-say-2", "Succeeded", "three\n")
        later = {
            "greet-1": node("first", "Succeeded", templateName="say"),
            "greet-2": node("second", "Succeeded", templateName="say"),
        }
        server.store.objects["pods", "team", "greet-say-1"]["status"]["phase"] = "Succeeded"
        server.store.set_status("team", "greet", status("Succeeded", **later))

    threading.Thread(target=go_on, daemon=True).start()
    result = argosy("logs", "team/greet", "-f", *options)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert sorted(lines) == ["first: one", "first: two", "second: three"]
    assert lines.index("first: one") < lines.index("first: two")


def test_where_the_pod_is_gone_argo_server_gives_the_archived_log(
    server: Server, argosy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    artifact = {"name": "main-logs", "s3": {"bucket": "logs", "key": "greet/second/main.log"}}
    gone = {"greet-2": node("second", "Failed", templateName="say", outputs={"artifacts": [artifact]})}
    given(server, status("Failed", **gone))
    server.store.archived["team", "greet", "greet-2"] = "what was\nkept\n"
    result = argosy("logs", "team/greet", "second", "--server", server.url)
    assert result.exit_code == 0 and result.stdout == "what was\nkept\n"
    api, namespace = Destination(server=server.url, namespace="team").connect({})
    found = now(server)
    (second,) = (n for n in nodes_of(found) if n.name == "second")
    assert read_log(api, namespace, found, second, 1) == (
        ["kept"],
        "the archived log s3://logs/greet/second/main.log",
    )


def test_through_kubernetes_the_archived_log_is_named_where_it_cannot_be_read(
    server: Server, argosy: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    artifact = {"name": "main-logs", "gcs": {"key": "greet/second/main.log"}}
    gone = {"greet-2": node("second", "Failed", templateName="say", outputs={"artifacts": [artifact]})}
    repository = {"artifactRepository": {"gcs": {"bucket": "logs"}}}
    given(server, {**status("Failed", **gone), "artifactRepositoryRef": repository})
    result = argosy("logs", "team/greet", "second")
    assert result.exit_code == 1
    assert "the archived log is gs://logs/greet/second/main.log; read it there" in result.stderr


def test_a_log_that_nobody_kept(server: Server, argosy: Run) -> None:
    given(server, FAILED)
    result = argosy("logs", "team/greet", "second")
    assert result.exit_code == 1
    assert "pod greet-say-2 is gone, and its log was not archived (archiveLogs)" in result.stderr
