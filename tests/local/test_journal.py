"""A run's state on disk: cheap to change, whole whenever it is read."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import UsageError
from argosy.local import NullReporter
from argosy.local import state as states
from argosy.local.node import Node, Phase
from argosy.local.runs.record import Record
from argosy.local.state import FORMAT, Journal, RunState, read_state
from tests.local.conftest import Run, manifest

HEAD = {"name": "run-a", "uid": "u", "startedAt": "2026-01-01T00:00:00.000Z", "parameters": {}}


def state(folder: Path) -> RunState:
    return RunState(folder, dict(HEAD), NullReporter())


def phases(folder: Path) -> dict[str, str]:
    return {node["name"]: node["phase"] for node in read_state(folder)["nodes"]}


def test_what_is_read_while_a_run_goes_on_is_what_was_put(tmp_path: Path) -> None:
    ours = state(tmp_path)
    ours.expect([Node("a", "t", "Container"), Node("b", "t", "Container"), Node("b.c", "t", "Container")])
    ours.put(Node("a", "t", "Container", Phase.SUCCEEDED))
    ours.empty("b")
    ours.put(Node("b", "t", "Container", Phase.RUNNING))
    assert phases(tmp_path) == {"a": "Succeeded", "b": "Running"}


def test_a_change_costs_its_own_length(tmp_path: Path) -> None:
    ours = state(tmp_path)
    ours.expect([Node(f"n{i}", "t", "Container") for i in range(500)])
    document = (tmp_path / "run.json").stat().st_ino
    ours.put(Node("n1", "t", "Container", Phase.RUNNING))
    assert (tmp_path / "run.json").stat().st_ino == document
    journal = tmp_path / read_state(tmp_path)["journal"]
    assert journal.stat().st_size < 1000


def test_a_long_journal_becomes_a_document(tmp_path: Path) -> None:
    ours = state(tmp_path)
    for number in range(3000):
        ours.put(Node(f"n{number % 7}", "t", "Container", message=str(number)))
    assert len(list(tmp_path.glob("run.*.jsonl"))) == 1
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 300 * 1024
    assert {node["message"] for node in read_state(tmp_path)["nodes"]} == {str(n) for n in range(2993, 3000)}


def test_a_line_that_was_not_written_to_its_end_is_no_line(tmp_path: Path) -> None:
    ours = state(tmp_path)
    ours.put(Node("a", "t", "Container"))
    ours.put(Node("a", "t", "Container", Phase.RUNNING))
    journal = tmp_path / read_state(tmp_path)["journal"]
    journal.write_bytes(journal.read_bytes() + b'{"node": {"name": "a", "pha')
    assert phases(tmp_path) == {"a": "Running"}


def test_the_end_leaves_one_file(tmp_path: Path) -> None:
    ours = state(tmp_path)
    ours.put(Node("a", "t", "Container", Phase.SUCCEEDED))
    assert ours.close(Phase.SUCCEEDED, {}) == ""
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
    assert read_state(tmp_path)["format"] == FORMAT


def test_a_last_state_that_needs_more_room_than_there_is_ends_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = state(tmp_path)
    ours.begin()
    ours.put(Node("a", "t", "Container", Phase.SUCCEEDED))
    ours.put(Node("b", "t", "Container", Phase.RUNNING))
    monkeypatch.setattr(states, "write_text", full)
    assert ours.close(Phase.FAILED, {"message": "why"}) == ""
    left = read_state(tmp_path)
    assert (left["phase"], left["message"]) == ("Failed", "why")
    assert [node["name"] for node in left["nodes"]] == ["a"]
    assert Record.read(tmp_path).state == "finished"


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_changes_that_found_no_room_are_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, told = state(tmp_path), list[str]()
    ours.begin()
    ours.on_lost = told.append
    assert (tmp_path / ".room").stat().st_size == 16 * 1024
    write = os.write

    def half(file: int, data: bytes) -> int:
        if (tmp_path / ".room").exists():
            write(file, data[: len(data) // 2])
            full()
        return write(file, data)

    monkeypatch.setattr(os, "write", half)
    ours.put(Node("a", "t", "Container", Phase.SUCCEEDED))
    assert told == [f"the run's folder {tmp_path} cannot be written: No space left on device"]
    assert read_state(tmp_path)["nodes"] == []
    monkeypatch.setattr(states, "write_text", full)
    assert ours.close(Phase.FAILED, {}) == ""
    assert (read_state(tmp_path)["phase"], phases(tmp_path)) == ("Failed", {"a": "Succeeded"})


def test_the_room_on_the_disk_is_given_up_in_the_end(tmp_path: Path) -> None:
    ours = state(tmp_path)
    ours.begin()
    ours.put(Node("a", "t", "Container", Phase.SUCCEEDED))
    assert ours.close(Phase.SUCCEEDED, {}) == ""
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_first_state_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "write_text", full)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        state(tmp_path).begin()
    assert list(tmp_path.iterdir()) == []


def test_the_first_format_is_read(tmp_path: Path) -> None:
    node = Node("a", "t", "Container", Phase.SUCCEEDED).to_dict()
    del node["queuedAt"]
    (tmp_path / "run.json").write_text(json.dumps({**HEAD, "phase": "Running", "nodes": [node]}))
    assert Node.from_dict(read_state(tmp_path)["nodes"][0]).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not the state of a run"),
        ("[]", "is not the state of a run"),
        (json.dumps({**HEAD, "phase": "Failed", "nodes": [], "format": 99}), "of a newer Argosy"),
        (json.dumps({**HEAD, "phase": "Failed", "nodes": [], "journal": "run.4.jsonl"}), "not there"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_state(tmp_path)


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    Journal(tmp_path).replace({**HEAD, "phase": "Running"}, [])
    (tmp_path / "run.1.jsonl").write_text("no json\n")
    with pytest.raises(UsageError, match="is damaged"):
        read_state(tmp_path)


FULL = """
import json, pathlib, resource, sys
from argosy.local import NullReporter, run_manifest
from argosy.local.node import Node
class Full(NullReporter):
    def on_node(self, node):
        if node.name == "b" and node.phase.value == "Running":  # every file is as large as it may be
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
manifest, folder = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2])
result = run_manifest(manifest, parameters={}, run_dir=folder, environment={}, reporter=Full())
print(result.phase.value, result.message)
"""


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path, run: Run) -> None:
    spec = """
templates:
- name: main
  steps: [[{name: a, template: ok}], [{name: b, template: ok}], [{name: c, template: ok}]]
"""
    done = subprocess.run(
        [sys.executable, "-c", FULL, json.dumps(manifest(spec)), str(tmp_path / "run")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"Failed the run's folder {tmp_path / 'run'} cannot be written: File too large\n"
    assert done.stderr == ""
    assert phases(tmp_path / "run")["a"] == "Succeeded"
    assert run(spec, resume=True).succeeded
