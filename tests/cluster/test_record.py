"""A workflow of a cluster, shown and opened as a run of this machine is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Run
from tests.cluster.server import TOKEN, Server
from tests.cluster.workflows import node, pod
from tests.documents import hold

GATE = "accuracy >= least"
SPEC = {
    "entrypoint": "main",
    "arguments": {"parameters": [{"name": "word", "value": "one"}]},
    "templates": [
        {
            "name": "main",
            "dag": {
                "tasks": [
                    {"name": "train", "template": "say"},
                    {"name": "gate", "template": "gate", "depends": "train"},
                    {"name": "each", "template": "say", "withItems": ["a", "b"]},
                    {"name": "group", "template": "group"},
                ]
            },
        },
        {"name": "group", "steps": [[{"name": "inner", "template": "say", "withItems": [1, 2]}]]},
        {"name": "say", "container": {"image": "x", "command": ["true"]}},
        {
            "name": "gate",
            "metadata": {"annotations": {"argosy.dev/gate": GATE}},
            "script": {"image": "x", "command": ["sh"], "source": "true"},
        },
    ],
}
S3 = {"s3": {"key": "greet/table.csv"}}


def values(**parameters: str) -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value} for name, value in parameters.items()]}


def said(name: str, phase: str, parent: str = "greet", **more: Any) -> dict[str, Any]:
    """A pod of `say`, by its name in Argo's terms."""
    shown = re.split(r"\.(?![^(]*\))", name)[-1]
    return {**node(shown, phase, parent=parent, templateName="say", **more), "name": f"greet.{name}"}


def inside(name: str, kind: str, template: str, parent: str = "greet", **more: Any) -> dict[str, Any]:
    return {**said(name, "Succeeded", parent, **more), "type": kind, "templateName": template}


NODES = {
    "greet": node("greet", "Failed", "DAG", "", templateName="main", outputs=values(said="two")),
    "retry": inside("train", "Retry", "say", children=["greet-1", "greet-2"]),
    "greet-1": said("train(0)", "Failed", outputs={"exitCode": "3"}, message="Error (exit code 3)"),
    "greet-2": said("train(1)", "Succeeded", outputs={"artifacts": [{"name": "table", **S3}]}),
    "greet-3": {
        **said(
            "gate", "Succeeded", inputs=values(least="0.9"), outputs=values(result="failed", accuracy="0.5")
        ),
        "templateName": "gate",
    },
    "loop": inside("each", "TaskGroup", "say", children=["greet-4", "greet-5"]),
    "greet-4": said("each(0:a)", "Succeeded"),
    "greet-5": said("each(1:b)", "Failed", message="no"),
    "steps": inside("group", "Steps", "group"),
    "first": inside("group[0]", "StepGroup", "group", "steps"),
    "greet-6": said("group[0].inner(0:1)", "Succeeded", "steps"),
    "greet-7": said("group[0].inner(1:2)", "Succeeded", "steps"),
}
STATUS = {
    "phase": "Failed",
    "message": "child 'each' failed",
    "startedAt": "2026-01-02T03:04:05Z",
    "finishedAt": "2026-01-02T03:06:10Z",
    "nodes": NODES,
    "artifactRepositoryRef": {"artifactRepository": {"s3": {"bucket": "kept"}}},
}


@pytest.fixture(params=["kubernetes", "argo server"])
def options(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A workflow `greet` of the namespace `team`, and the words that lead through one of the two APIs."""
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    body = {"kind": "Workflow", "metadata": {"name": "greet", "generateName": "greet-"}, "spec": SPEC}
    server.store.create("workflows", "team", body)
    server.store.set_status("team", "greet", STATUS)
    pod(server, "greet-say-1", "Failed", "first try\n")
    pod(server, "greet-say-2", "Succeeded", "second try\n</script><script>alert(1)</script>\n")
    return ["--server", server.url] if request.param == "argo server" else []


def test_show_tells_what_it_tells_of_a_run(argosy: Run, options: list[str]) -> None:
    told = hold("show", argosy("show", "team/greet", "--output", "json", *options).stdout)
    assert (told["run"], told["pipeline"], told["phase"], told["seconds"]) == (
        "team/greet",
        "greet",
        "Failed",
        125.0,
    )
    assert told["parameters"] == {"word": "one"} and told["outputs"]["parameters"] == {"said": "two"}
    nodes = {one["name"]: one for one in told["nodes"]}
    assert {name: (one["type"], one["parent"], one["phase"]) for name, one in nodes.items()} == {
        "train": ("Container", "", "Succeeded"),
        "gate": ("Script", "", "Succeeded"),
        "each": ("Loop", "", "Succeeded"),
        "each(0:a)": ("Container", "each", "Succeeded"),
        "each(1:b)": ("Container", "each", "Failed"),
        "group": ("Steps", "", "Succeeded"),
        "group.inner": ("Loop", "group", "Succeeded"),
        "group.inner(0:1)": ("Container", "group.inner", "Succeeded"),
        "group.inner(1:2)": ("Container", "group.inner", "Succeeded"),
    }
    tries = [(one["name"], one["phase"], one["exitCode"]) for one in nodes["train"]["attempts"]]
    assert tries == [("train(0)", "Failed", 3), ("train(1)", "Succeeded", None)]
    (table,) = told["artifacts"]
    assert table == {
        "step": "train",
        "name": "table",
        "path": "s3://kept/greet/table.csv",
        "sizeBytes": None,
        "exists": None,
    }
    (gate,) = told["gateRules"]
    assert (gate["verdict"], gate["rules"]) == (
        "failed",
        [{"rule": GATE, "number": "0.5 >= 0.9", "holds": False}],
    )
    assert told["failed"] == ["each(1:b)"]


def test_show_prints_it(argosy: Run, options: list[str]) -> None:
    result = argosy("show", "team/greet", *options)
    assert result.exit_code == 0, result.output
    for part in ("workflow greet  Failed", "✖ each(1:b)", "word  one", "gate gate: failed", "0.5 >= 0.9"):
        assert part in result.stdout, part
    assert "s3://kept/greet/table.csv" in result.stdout and "said  two" in result.stdout


def test_logs_are_documents(argosy: Run, options: list[str]) -> None:
    lines = argosy("logs", "team/greet", "train", "--output", "json", *options).stdout.splitlines()
    assert [hold("logs", line) for line in lines[:2]] == [
        {"step": "train", "attempt": 0, "line": "first try"},
        {"step": "train", "attempt": 1, "line": "second try"},
    ]


def test_open_writes_the_page_with_the_logs(argosy: Run, options: list[str], tmp_path: Path) -> None:
    words = ("open", "team/greet", "--no-browser", "--state-dir", "a/state", "-o", "copy.html", *options)
    result = argosy(*words)
    assert result.exit_code == 0, result.output
    page = Path(result.stdout.strip())
    assert page == tmp_path / "copy.html"
    text = page.read_text("utf-8")
    assert "alert(1)</script>" not in text
    data = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
    steps = {one["name"]: one for one in data["nodes"]}
    assert "second try" in steps["train"]["log"] and len(steps["train"]["attempts"]) == 2
    if "--server" not in options:  # Argo Server says nothing of a pod that is gone
        assert "no log: pod greet-say-5 is gone" in steps["each(1:b)"]["log"]
    assert steps["train"]["made"] == [
        {"name": "table", "path": "s3://kept/greet/table.csv", "kind": "elsewhere"}
    ]
    assert 'data-step="group.inner"' in text and data["gates"][0]["verdict"] == "failed"


def test_a_path_that_is_an_options_value_is_no_workflow(argosy: Run, tmp_path: Path) -> None:
    for words in (
        ("show", "--state-dir", "a/b", "last"),
        ("logs", "--state-dir", "a/b", "last"),
        ("open", "-o", "a/page.html", "--state-dir", "a/b"),
    ):
        result = argosy(*words)
        assert result.stderr == "argosy: there is no run in a/b/runs yet; `argosy run` makes one\n", words
    result = argosy("logs", "-fn", "team", "team/nobody")
    assert "kubeconfig" in result.stderr


@pytest.mark.parametrize("options", ["kubernetes"], indirect=True)
def test_logs_that_are_gone_hide_no_others(argosy: Run, options: list[str]) -> None:
    result = argosy("logs", "team/greet")
    assert result.stdout.splitlines()[:2] == ["train(0): first try", "train(1): second try"]
    assert result.exit_code == 1
    assert "is gone, and its log was not archived (archiveLogs); 4 more logs cannot be read" in result.stderr


def test_two_workflows_are_compared(argosy: Run, options: list[str], server: Server) -> None:
    other = {**SPEC, "arguments": {"parameters": [{"name": "word", "value": "two"}]}}
    server.store.create(
        "workflows", "team", {"kind": "Workflow", "metadata": {"name": "again"}, "spec": other}
    )
    server.store.set_status("team", "again", {"phase": "Running", "startedAt": STATUS["startedAt"]})
    told = argosy("compare", "team/greet", "team/again", "--output", "json", *options).stdout
    found = hold("compare", told)
    assert (found["runs"], found["phases"]) == (["team/greet", "team/again"], ["Failed", "Running"])
    assert found["parameters"] == {"word": ["one", "two"]} and found["steps"]["train"] == ["Succeeded", None]
    assert (found["templates"], found["code"]) == ({}, None)
