"""What a run leaves and shows: the document, the folder, the terminal."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
import yaml

from argosy.local import Node, NullReporter, Plan
from argosy.local.console import ConsoleReporter
from argosy.local.node import folder_name, now
from argosy.local.runs.screen import describe, duration
from argosy.local.state import load
from tests.local.conftest import Run

SPEC = """
arguments: {parameters: [{name: word, value: one}]}
templates:
- name: main
  dag:
    tasks:
    - {name: good, template: good}
    - {name: bad, template: bad, depends: good}
    - {name: never, template: good, depends: bad}
- {name: good, container: {image: x, command: [echo, "said {{workflow.parameters.word}}"]}}
- {name: bad, container: {image: x, command: [sh, -c, "echo because >&2; exit 5"]}}
"""


def test_the_document(run: Run) -> None:
    result = run(SPEC, parameters={"word": "two"})
    document = json.loads(json.dumps(result.to_dict()))
    assert "".join(result.to_json()) == json.dumps(result.to_dict(), ensure_ascii=False)
    assert document["phase"] == "Failed"
    assert document["parameters"] == {"word": "two"}
    good, bad, never = document["nodes"]
    assert {
        "name",
        "template",
        "phase",
        "startedAt",
        "finishedAt",
        "inputs",
        "outputs",
        "message",
    } <= good.keys()
    assert (bad["phase"], bad["exitCode"], bad["logTail"]) == ("Failed", 5, ["because"])
    assert (never["phase"], never["startedAt"]) == ("Omitted", None)
    assert [Node.from_dict(raw).to_dict() for raw in document["nodes"]] == document["nodes"]


def test_the_folder(run: Run) -> None:
    result = run(SPEC, parameters={"word": "two"})
    as_run = yaml.safe_load((result.run_dir / "workflow.yaml").read_text())
    assert as_run["metadata"] == {"name": result.name}
    assert as_run["spec"]["arguments"]["parameters"] == [{"name": "word", "value": "two"}]
    assert load(result.run_dir)["nodes"] == [node.to_dict() for node in result.nodes]
    assert (result.run_dir / "steps" / "good" / "main.log").read_text() == "said two\n"


def test_every_change_is_told_in_order(run: Run) -> None:
    told: list[str] = []

    class Recorder(NullReporter):
        def on_start(self, plan: Plan) -> None:
            told.append(plan.name)

        def on_node(self, node: Node) -> None:
            told.append(f"{node.name} {node.phase.value}")

    result = run(SPEC, reporter=Recorder())
    assert told[0] == result.name
    assert [line for line in told if line.startswith("good")] == [
        "good Pending", "good Pending", "good Running", "good Succeeded",
    ]  # fmt: skip
    assert told[-1] == "never Omitted"


@pytest.mark.parametrize("live", [False, True])
def test_the_terminal(run: Run, live: bool) -> None:
    stream = io.StringIO()
    result = run(SPEC, reporter=ConsoleReporter(stream, live=live))
    shown = stream.getvalue()
    for text in (result.name, "✔ good", "✖ bad", "exit code 5", "because", "never", "Omitted"):
        assert text in shown
    if not live:
        assert "good | said one" in shown


def test_a_terminal_that_cannot_go_back_a_line_gets_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    run(SPEC, reporter=ConsoleReporter(stream))
    assert "good | said one" in stream.getvalue() and "\x1b[" not in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0s"), (9.96, "10.0s"), (12.9, "12s"), (185, "3m05s"), (7800, "2h10m")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_of_folders_are_plain_and_different() -> None:
    names = ["a", "a(0:x)", "a(0:y)", "a(0)", "a.0", "..", "größe", "x" * 300, "x" * 301]
    folders = [folder_name(name) for name in names]
    assert folders[0] == "a"
    assert len(set(folders)) == len(names)
    assert all(folder.replace("-", "").replace(".", "").isalnum() and len(folder) < 120 for folder in folders)


class Changes(NullReporter):
    """Keeps each state that a node was in."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def on_node(self, node: Node) -> None:
        self.nodes.append(node)


RETRIED = """
templates:
- name: main
  dag: {tasks: [{name: bad, template: bad}]}
- name: bad
  retryStrategy: {limit: 1, retryPolicy: OnFailure, backoff: {duration: 100ms}}
  container: {image: x, command: [sh, -c, "exit 5"]}
"""


def test_a_step_that_waits_for_its_next_attempt_says_when(run: Run) -> None:
    changes = Changes()
    run(RETRIED, reporter=changes)
    waiting = [node for node in changes.nodes if node.retry_at]
    assert [node.message for node in waiting] == ["attempt 1 failed (exit code 5)"]
    assert changes.nodes[-1].retry_at is None
    later = replace(waiting[0], retry_at=now(30))
    assert str(describe(later, "bad")).endswith("attempt 1 failed (exit code 5)  retry in 30 s")
    assert Node.from_dict(later.to_dict()) == later
    assert "retryAt" not in changes.nodes[-1].to_dict()
