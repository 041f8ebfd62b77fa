"""A run that was interrupted, killed or failed goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from argosy.errors import UsageError
from argosy.local import NullReporter, run_manifest
from argosy.local.state import load, lock
from tests.local.conftest import Run, log, manifest, node, phases, runner
from tests.local.test_container import marked

SPEC = """
templates:
- name: main
  dag:
    tasks:
    - {name: first, template: count}
    - {name: group, template: group, depends: first}
    - name: last
      depends: group
      template: show
      arguments: {parameters: [{name: v, value: "{{tasks.group.outputs.parameters.v}}"}]}
- name: group
  outputs: {parameters: [{name: v, valueFrom: {parameter: "{{tasks.one.outputs.parameters.v}}"}}]}
  dag:
    tasks:
    - {name: one, template: count}
    - {name: two, template: door, depends: one}
- name: count
  outputs: {parameters: [{name: v, valueFrom: {path: /tmp/v}}]}
  container: {image: x, command: [sh, -c, 'echo x >> "$COUNTS"; wc -l < "$COUNTS" > /tmp/v']}
- name: door
  script:
    image: x
    command: [sh]
    source: 'if test -e "$OPEN"; then exit 0; fi; sleep "$PATIENCE"; exit 1'
- name: show
  inputs: {parameters: [{name: v}]}
  container: {image: x, command: [echo, "{{inputs.parameters.v}}"]}
"""


def environment(tmp_path: Path, patience: str = "0") -> dict[str, str]:
    return {"COUNTS": str(tmp_path / "counts"), "OPEN": str(tmp_path / "open"), "PATIENCE": patience}


def counted(tmp_path: Path) -> int:
    return len((tmp_path / "counts").read_text().splitlines())


def test_a_failed_run_goes_on(run: Run, tmp_path: Path) -> None:
    failed = run(SPEC, environment=environment(tmp_path))
    assert phases(failed) == {
        "first": "Succeeded",
        "group": "Failed",
        "group.one": "Succeeded",
        "group.two": "Failed",
        "last": "Omitted",
    }
    (tmp_path / "open").touch()
    resumed = run(SPEC, environment=environment(tmp_path), resume=True)
    assert resumed.succeeded
    assert (resumed.name, resumed.uid) == (failed.name, failed.uid)
    assert counted(tmp_path) == 2  # neither of the two counted again
    assert log(resumed, "last") == "2\n"
    assert node(resumed, "first") == node(failed, "first")


LOOP = """
templates:
- name: main
  steps: [[{name: each, template: wait, withItems: [1, 2]}], [{name: last, template: door}]]
- {name: wait, container: {image: x, command: [sleep, "0.1"]}}
- {name: door, container: {image: x, command: [sh, -c, 'test -e "$OPEN"']}}
"""


def test_a_loop_that_was_over_keeps_its_times(run: Run, tmp_path: Path) -> None:
    failed = run(LOOP, environment=environment(tmp_path))
    (tmp_path / "open").touch()
    resumed = run(LOOP, environment=environment(tmp_path), resume=True)
    assert resumed.succeeded
    assert node(resumed, "each") == node(failed, "each")
    assert node(resumed, "each").seconds >= 0.1


def test_what_depends_on_something_that_ran_again_runs_again(run: Run, tmp_path: Path) -> None:
    spec = """
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: door, continueOn: {failed: true}}
    - {name: b, template: count, dependencies: [a]}
    - {name: c, template: door, dependencies: [b]}
""" + SPEC[SPEC.index("- name: count") :]
    run(spec, environment=environment(tmp_path))
    assert counted(tmp_path) == 1
    (tmp_path / "open").touch()
    assert run(spec, environment=environment(tmp_path), resume=True).succeeded
    assert counted(tmp_path) == 2


def start(tmp_path: Path, mark: str) -> subprocess.Popen[bytes]:
    """A runner of its own that has come to the step which waits."""
    settings = {**environment(tmp_path, "600"), "RUNNER_TEST_MARK": mark}
    process = runner(SPEC, tmp_path / "run", settings)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if "sleep" in marked(mark):
            return process
        time.sleep(0.05)
    raise AssertionError("the runner did not come to its second step")


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + 30
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_runner_leaves_no_process_and_a_run_that_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    mark = f"{os.getpid()}-{number.name}"
    process = start(tmp_path, mark)
    with pytest.raises(UsageError, match="still going on"):
        lock(tmp_path / "run")
    process.send_signal(number)
    process.wait(30)
    wait_until_gone(mark)
    assert marked(mark) == []
    state = {found["name"]: found["phase"] for found in load(tmp_path / "run")["nodes"]}
    assert (state["first"], state["group.one"]) == ("Succeeded", "Succeeded")
    if number != signal.SIGKILL:
        assert (state["group.two"], state["last"]) == ("Failed", "Omitted")
    (tmp_path / "open").touch()
    resumed = run_manifest(
        manifest(SPEC), parameters={}, run_dir=tmp_path / "run", environment=environment(tmp_path),
        reporter=NullReporter(), resume=True,
    )  # fmt: skip
    assert resumed.succeeded
    assert counted(tmp_path) == 2


def test_folders_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        run(SPEC, resume=True, environment=environment(tmp_path))
    run(SPEC, environment=environment(tmp_path))
    with pytest.raises(UsageError, match="holds a run already"):
        run(SPEC, environment=environment(tmp_path))
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(UsageError, match="not the state of a run"):
        run(SPEC, resume=True, environment=environment(tmp_path))


def test_the_parameters_of_the_first_time_are_kept(run: Run) -> None:
    spec = """
arguments: {parameters: [{name: a}, {name: b, value: "1"}]}
templates: [{name: main, container: {image: x, command: [sh, -c, "echo {{workflow.parameters.a}}; exit 1"]}}]
"""
    run(spec, parameters={"a": "given"})
    resumed = run(spec, resume=True)
    assert resumed.parameters == {"a": "given", "b": "1"}
    assert log(resumed, "main") == "given\n"
