"""A part of a run again: from a step on, or one step alone."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from argosy.local.runs.history import History
from tests.local.runs.conftest import GATED, Argosy, Made

CHAIN = """
arguments: {parameters: [{name: word, value: one}, {name: late, value: x}]}
templates:
- name: main
  dag:
    tasks:
    - {name: make, template: make}
    - name: use
      template: use
      depends: make
      arguments: {artifacts: [{name: f, from: "{{tasks.make.outputs.artifacts.f}}"}]}
    - {name: last, template: last, depends: use}
- name: make
  outputs: {artifacts: [{name: f, path: /tmp/f}]}
  container: {image: x, command: [sh, -c, 'echo {{workflow.parameters.word}} > /tmp/f; echo made']}
- name: use
  inputs: {artifacts: [{name: f, path: /tmp/in}], parameters: [{name: n, value: "1"}]}
  container: {image: x, command: [sh, -c, 'cat /tmp/in; echo {{inputs.parameters.n}}']}
- {name: last, container: {image: x, command: [echo, "{{workflow.parameters.late}}"]}}
"""


def newest(tmp_path: Path) -> dict[str, object]:
    record = History(tmp_path).find("last")
    return {node.name: node.reused for node in record.nodes}


def test_from_a_step_on_what_came_before_is_taken_over(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    first = made(CHAIN)
    done = argosy("rerun", "abc12", "--from", "use", "-p", "late=y", "--output", "json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert newest(tmp_path) == {"make": first.run, "use": None, "last": None}
    assert result["uid"] != first.head["uid"]
    folder = Path(result["runDir"])
    assert (folder / "steps/last/main.log").read_text() == "y\n"
    assert (folder / "steps/make/main.log").read_text() == "made\n"
    assert (folder / "artifacts/make/f/f").samefile(first.folder / "artifacts/make/f/f")
    assert argosy("runs", "prune", first.run).exit_code == 0
    assert argosy("show", "last").exit_code == 0  # and it stands alone


def test_a_taken_over_step_that_read_a_changed_parameter_is_named(made: Made, argosy: Argosy) -> None:
    made(CHAIN)
    done = argosy("rerun", "last", "--from", "use", "-p", "word=two")
    assert "'make' is taken over as it is, made with the parameters of pipe-abc12" in done.stderr


def test_one_step_alone_on_its_recorded_inputs(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    made(CHAIN)
    assert argosy("rerun", "last", "--step", "use").exit_code == 0
    assert argosy("logs", "last").stdout == "use | one\nuse | 1\n"
    assert newest(tmp_path) == {"use": None}
    assert argosy("rerun", "abc12", "--step", "use", "-p", "n=7").exit_code == 0
    assert argosy("logs", "last", "use").stdout == "one\n7\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say --from STEP or --step STEP"),
        (["--from", "usee"], "did you mean 'use'"),
        (["--step", "use", "-p", "m=1"], "'use' has no input 'm'; it has: n"),
        (["--from", "use", "--debug"], "--debug runs one step"),
        (["--from", "use", "-p", "words=1"], "words"),
    ],
)
def test_bad_input_is_one_line_and_makes_no_run(
    words: list[str], message: str, made: Made, argosy: Argosy, tmp_path: Path
) -> None:
    made(CHAIN)
    done = argosy("rerun", "last", *words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert len(History(tmp_path).names()) == 1


def test_a_step_that_never_began_has_no_inputs(made: Made, argosy: Argosy) -> None:
    made(GATED)
    assert "'never' never began" in argosy("rerun", "last", "--step", "never").stderr


def test_a_lost_artifact_is_named(made: Made, argosy: Argosy) -> None:
    record = made(CHAIN)
    (record.folder / "artifacts/make/f/f").unlink()
    assert "input artifact 'f' of 'use' is lost" in argosy("rerun", "last", "--step", "use").stderr
    assert "has lost" in argosy("rerun", "last", "--from", "use").stderr


STEP = """
from argosy import component, pipeline

@component(image="x")
def add(a: int, b: int = 2) -> None:
    '''Add.'''
    total = a + b
    print("total", total)

@pipeline()
def sums(a: int = 40):
    add(a=a)
"""


def test_debug_opens_pdb_in_the_step_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(STEP)
    program = [str(Path(sys.executable).with_name("argosy"))]
    quiet = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*program, "run", "sums.py"], check=True, **quiet)  # type: ignore[call-overload]
    ours, theirs = pty.openpty()
    words = [*program, "rerun", "last", "--step", "add", "--debug"]
    process = subprocess.Popen(words, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, b"next\np total * 100\ncontinue\nquit\n")
    seen = b""
    while chunk := _read(ours):
        seen += chunk
    process.wait()
    os.close(ours)
    assert b"total = a + b" in seen and b"4200" in seen and b"total 42" in seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # its other side is closed
        return b""
