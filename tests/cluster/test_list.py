"""The workflows of a cluster, listed as the runs of this machine are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.conftest import Run
from tests.cluster.server import TOKEN, Server
from tests.cluster.test_record import SPEC, STATUS
from tests.documents import hold

ARCHIVING = "workflows.argoproj.io/workflow-archiving-status"


@pytest.fixture(params=["kubernetes", "argo server"])
def options(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that lead to the namespace `team` through one of the two APIs."""
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    return ["--server", server.url] if request.param == "argo server" else ["--cluster"]


def workflow(server: Server, name: str, status: dict[str, Any], **labels: str) -> None:
    metadata = {"name": name, "generateName": f"{name.partition('-')[0]}-", "labels": labels}
    server.store.create("workflows", "team", {"kind": "Workflow", "metadata": metadata, "spec": SPEC})
    server.store.set_status("team", name, status)


def at(day: int, phase: str = "Succeeded") -> dict[str, Any]:
    moment = f"2026-01-{day:02}T00:00:0"
    ended = {"finishedAt": f"{moment}9Z"} if phase != "Running" else {}
    return {"phase": phase, "startedAt": f"{moment}0Z", **ended}


def listed(argosy: Run, *words: str) -> list[dict[str, Any]]:
    """The list as a document."""
    result = argosy("runs", "--output", "json", *words)
    assert result.exit_code == 0, result.output
    runs: list[dict[str, Any]] = hold("runs", result.stdout)["runs"]
    return runs


def test_a_list_tells_what_it_tells_of_runs(argosy: Run, options: list[str], server: Server) -> None:
    workflow(server, "greet", STATUS)
    workflow(server, "other-1", at(3))
    last, first = listed(argosy, *options)
    assert (last["run"], last["pipeline"], last["seconds"]) == ("team/other-1", "other", 9.0)
    assert (first["run"], first["phase"], first["state"]) == ("team/greet", "Failed", "finished")
    assert (first["failed"], first["gates"]) == (["each(1:b)"], {"gate": "failed"})
    shown = argosy("runs", *options).stdout.splitlines()
    assert shown[1].startswith("team/other-1") and "Succeeded" in shown[1]
    assert "team/greet" in shown[2] and "gate failed, each(1:b) failed" in shown[3]


def test_many_are_read_in_pages(
    argosy: Run, options: list[str], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("argo_server_api", "kubernetes_api"):
        monkeypatch.setattr(f"argosy.cluster.{module}.PAGE", 4)
    for number in range(1, 11):
        workflow(server, f"many-{number}", at(number))
    found = [run["run"] for run in listed(argosy, *options)]
    assert found == [f"team/many-{number}" for number in range(10, 0, -1)]
    assert len(server.requests) == 3


def test_some_of_them(argosy: Run, options: list[str], server: Server) -> None:
    workflow(server, "a-1", at(1, "Failed"), team="red")
    workflow(server, "a-2", at(2, "Running"), team="red")
    workflow(server, "a-3", at(3, "Error"), team="blue")
    for words, names in (
        (("--failed",), ["a-3", "a-1"]),
        (("--last", "2"), ["a-3", "a-2"]),
        (("--failed", "--last", "1"), ["a-3"]),
        (("-l", "team=red"), ["a-2", "a-1"]),
    ):
        found = [run["run"] for run in listed(argosy, *options, *words)]
        assert found == [f"team/{name}" for name in names], words


def test_none_is_a_line(argosy: Run, options: list[str], server: Server) -> None:
    name = "Argo Server" if "--server" in options else "the Kubernetes API"
    options = [*options, "-n", "team"]
    result = argosy("runs", *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"there is no workflow in namespace 'team' of {name} at {server.url}\n"
    assert "no workflow with a=b in" in argosy("runs", "-l", "a=b", *options).stderr
    workflow(server, "a-1", at(1))
    assert argosy("runs", "--failed", *options).stderr == "none failed\n"
    assert listed(argosy, "--failed", *options) == []


def test_what_is_not_allowed_is_a_line(argosy: Run, options: list[str], server: Server) -> None:
    server.forbidden = ("workflows",)
    result = argosy("runs", *options)
    assert result.exit_code == 1 and result.stdout == ""
    assert "does not allow to list Workflows in namespace 'team': workflows" in result.stderr


def test_archived_ones_come_through_argo_server(
    argosy: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    workflow(server, "greet", STATUS, **{ARCHIVING: "Archived"})
    both = server.store.get("workflows", "team", "greet")
    uid = both["metadata"]["uid"]
    labels = {ARCHIVING: "Persisted", "workflows.argoproj.io/workflow-template": "flow"}
    for name, key, status in (("greet", uid, STATUS), ("old-1", "uid-old", {**STATUS, **at(1)})):
        metadata = {"name": name, "namespace": "team", "labels": labels, "uid": key}
        server.store.archive["team", name] = {**both, "metadata": metadata, "status": status}
    result = argosy("runs", "--server", server.url, "--output", "json")
    live, old = hold("runs", result.stdout)["runs"]
    assert (live["run"], live["gates"]) == ("team/greet", {"gate": "failed"})
    assert (old["run"], old["pipeline"], old["gates"], old["seconds"]) == ("team/old-1", "flow", {}, 9.0)
    assert result.stderr.startswith("1 of them show no gates and failures: the steps are in the archive")
    shown = argosy("show", "team/old-1", "--server", server.url, "--output", "json")
    assert hold("show", shown.stdout)["failed"][-1].endswith("each(1:b)") and shown.stderr == ""


def test_steps_that_only_argo_server_has_are_missed_aloud(argosy: Run, server: Server) -> None:
    workflow(server, "far-1", {**at(1), "offloadNodeStatusVersion": "fnv:1"})
    said = "in a database of the controller"
    assert said in argosy("runs", "--cluster").stderr
    for verb in ("get", "show"):
        result = argosy(verb, "team/far-1")
        assert result.exit_code == 0 and said in result.stderr and "Succeeded" in result.stdout, verb


def test_no_cluster_is_a_line(argosy: Run) -> None:
    for words in (("--cluster",), ("-n", "ml"), ("--context", "dev"), ("-l", "a=b")):
        result = argosy("runs", *words)
        assert result.exit_code == 2 and result.stderr.startswith("argosy: there is no kubeconfig"), words


def test_options_of_the_list_are_not_swallowed_by_prune(argosy: Run) -> None:
    for words in (("--failed",), ("--cluster",), ("-n", "ml"), ("--output", "json"), ("--last", "1")):
        result = argosy("runs", *words, "prune", "--keep", "1")
        assert result.exit_code == 2, words
        assert result.stderr.endswith("is of the list; 'prune' has options of its own\n")
    assert json.loads(argosy("runs", "--output", "json").stdout) == {"runs": []}
