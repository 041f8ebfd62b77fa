"""Suspended steps: they wait for a time, or for somebody who approves."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from argosy.errors import UsageError
from argosy.local.approval import Approval
from argosy.local.check import check
from tests.local.conftest import Run, log, manifest, node, phases

GATE = """
templates:
- name: main
  steps:
  - - {name: review, template: review}
  - - name: after
      template: echo
      arguments: {parameters: [{name: m, value: "{{steps.review.outputs.parameters.who}}"}]}
- name: review
  suspend: {}
  outputs: {parameters: [{name: who, valueFrom: {supplied: {}%s}}]}
"""


def test_an_approved_step_goes_on_with_what_is_supplied(run: Run) -> None:
    result = run(GATE % "", approval=Approval.read(["review:who=Ada=1"], None))
    assert phases(result) == {"review": "Succeeded", "after": "Succeeded"}
    assert log(result, "after") == "Ada=1\n"


def test_without_approval_it_stops_and_goes_on_when_resumed(run: Run) -> None:
    result = run(GATE % ", default: nobody")
    assert phases(result) == {"review": "Error", "after": "Omitted"}
    assert "resume the run with --approve review" in node(result, "review").message
    again = run(GATE % ", default: nobody", resume=True, approval=Approval.read(["review"], None))
    assert log(again, "after") == "nobody\n"


@pytest.mark.parametrize(("answer", "phase"), [(True, "Succeeded"), (False, "Error")])
def test_the_person_at_the_terminal_is_asked(run: Run, answer: bool, phase: str) -> None:
    asked: list[str] = []

    async def ask(name: str) -> bool:
        asked.append(name)
        return answer

    result = run(GATE % ", default: d", approval=Approval(ask=ask))
    assert (asked, phases(result)["review"]) == (["review"], phase)


@pytest.mark.parametrize(("does", "code"), [("y\n", 0), ("\n", 1), (signal.SIGTERM, 1), (signal.SIGINT, 1)])
def test_at_a_terminal_it_is_answered_or_the_run_is_stopped(
    tmp_path: Path, does: str | signal.Signals, code: int
) -> None:
    """Nothing is left that waits for the answer."""
    spec = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}]}
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": spec,
    }
    (tmp_path / "w.json").write_text(json.dumps({**manifest, "spec": spec}))
    ours, theirs = pty.openpty()
    argosy = [sys.executable, "-m", "argosy", "run", "w.json"]
    run = subprocess.Popen(
        argosy,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # the terminal ends with the run
        while part := os.read(ours, 4096):
            if b"[y/N]" not in said and b"[y/N]" in said + part:
                os.write(ours, does.encode()) if isinstance(does, str) else run.send_signal(does)
            said += part
    os.close(ours)
    assert (run.wait(), b"Traceback" in said) == (code, False), said.decode()


def test_an_output_that_nobody_supplies_is_named(run: Run) -> None:
    result = run(GATE % "", approval=Approval.read(["review"], None))
    assert "--approve STEP:who=VALUE" in node(result, "review").message


def test_a_duration_is_waited_for(run: Run) -> None:
    result = run(
        "templates: [{name: main, steps: [[{name: w, template: w}]]}, {name: w, suspend: {duration: 10ms}}]"
    )
    assert (result.succeeded, node(result, "w").kind) == (True, "Suspend")


def test_who_is_approved_does_not_wait_for_the_duration(run: Run) -> None:
    result = run(
        "templates: [{name: main, steps: [[{name: w, template: w}]]}, {name: w, suspend: {duration: 1h}}]",
        approval=Approval.read(["w"], None),
    )
    assert phases(result) == {"w": "Succeeded"}


WAITS = "templates: [{name: main, steps: [[{name: w, template: w}]]}, {name: w, suspend: {duration: %s}}]"


@pytest.mark.parametrize(("answer", "phase"), [(True, "Succeeded"), (False, "Error")])
def test_the_person_at_the_terminal_need_not_wait_for_the_duration(
    run: Run, answer: bool, phase: str
) -> None:
    async def ask(_: str) -> bool:
        return answer

    assert phases(run(WAITS % "1h", approval=Approval(ask=ask))) == {"w": phase}


def test_without_an_answer_it_goes_on_after_its_duration(run: Run) -> None:
    async def ask(_: str) -> bool:
        return await asyncio.sleep(3600, result=False)

    assert phases(run(WAITS % "10ms", approval=Approval(ask=ask))) == {"w": "Succeeded"}


@pytest.mark.parametrize("word", ["", ":a=b", "x:y"])
def test_words_that_approve_nothing_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="neither STEP nor STEP:NAME=VALUE"):
        Approval.read([word], None)


@pytest.mark.parametrize("name", ["review", "outer.review", "review(0:a)"])
def test_a_step_that_waits_may_be_approved(name: str) -> None:
    workflow = check(manifest(GATE % ""), {}).workflow
    Approval.read([name], None).check(workflow)


@pytest.mark.parametrize(
    ("name", "hint"), [("reviw", "; did you mean 'review'?"), ("x", "; there is: review")]
)
def test_an_approval_of_a_step_that_never_waits_is_refused(name: str, hint: str) -> None:
    workflow = check(manifest(GATE % ""), {}).workflow
    with pytest.raises(UsageError) as error:
        Approval.read([name], None).check(workflow)
    assert str(error.value) == f"--approve {name}: no step of that name waits for approval{hint}"


@pytest.mark.parametrize(
    ("gate", "hint"), [(GATE % "", "; did you mean 'who'?"), (WAITS % "1h", "; it has no outputs")]
)
def test_an_output_that_the_step_does_not_have_is_refused(gate: str, hint: str) -> None:
    workflow = check(manifest(gate), {}).workflow
    step = "review" if "review" in gate else "w"
    with pytest.raises(UsageError) as error:
        Approval.read([f"{step}:whom=Ada"], None).check(workflow)
    assert str(error.value) == f"--approve {step}:whom: the step has no output 'whom'{hint}"
