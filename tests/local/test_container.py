"""One step: its program, environment, outputs, time and end."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from argosy.errors import ManifestError
from argosy.local import NullReporter, run_manifest
from argosy.local.paths import VIEW_SWITCH, refusal
from tests.local.conftest import Run, log, manifest, node

ONE = """
templates:
- name: main
  %s
"""


def test_python_is_this_python(run: Run) -> None:
    result = run(
        ONE % "container: {image: x, command: [python3, -c, 'import argosy; print(argosy.__name__)']}"
    )
    assert log(result, "main") == "argosy\n"


def test_both_streams_in_the_order_they_were_written(run: Run) -> None:
    result = run(
        ONE % "container: {image: x, command: [sh, -c, 'for i in 1 2 3; do echo o$i; echo e$i >&2; done']}"
    )
    assert log(result, "main").split() == ["o1", "e1", "o2", "e2", "o3", "e3"]


def test_environment(run: Run) -> None:
    result = run(
        ONE
        % """container:
    image: x
    env:
    - {name: PLAIN, value: "{{workflow.name}}"}
    - {name: USES, value: "<$(PLAIN)> $(OTHER) $$(PLAIN)"}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}
    - {name: MAYBE, valueFrom: {configMapKeyRef: {name: s, key: k, optional: true}}}
    command: [sh, -c, 'echo "$USES|$POD|$TOKEN|${MAYBE-unset}|$GIVEN|$TMPDIR"; echo "$1"', sh, "$(PLAIN)"]""",
        environment={"TOKEN": "secret", "GIVEN": "by caller"},
    )
    name = result.name
    first, second = log(result, "main").splitlines()
    uses, pod, token, maybe, given, tmp = first.split("|")
    assert uses == f"<{name}> $(OTHER) $(PLAIN)"
    assert pod.startswith(f"{name}-main-")
    assert (token, maybe, given, second) == ("secret", "unset", "by caller", name)
    assert Path(tmp).is_relative_to(result.run_dir)


def test_a_missing_secret_is_named_before_anything_starts(run: Run, tmp_path: Path) -> None:
    env = "[{name: NOT_SET_ANYWHERE, valueFrom: {secretKeyRef: {name: s, key: k}}}]"
    with pytest.raises(ManifestError, match=r"NOT_SET_ANYWHERE.*key 'k' of the secret 's'"):
        run(ONE % f"container: {{image: x, command: ['true'], env: {env}}}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("switch", ["1", "0"])
def test_volumes_and_working_directories_are_the_steps_own(run: Run, switch: str) -> None:
    result = run(
        """
volumes: [{name: scratch, emptyDir: {}}]
templates:
- name: main
  volumes: [{name: shm, emptyDir: {medium: Memory}}]
  container:
    image: x
    workingDir: /srv/app
    volumeMounts: [{name: scratch, mountPath: /scratch}, {name: shm, mountPath: /dev/shm}]
    command: [sh, -c, 'echo x > /scratch/file; pwd; ls /scratch; ls -d /dev/shm']
""",
        environment={VIEW_SWITCH: switch},
    )
    where, file, shared = log(result, "main").splitlines()
    moved = refusal({VIEW_SWITCH: switch})
    assert where == (str(result.run_dir / "steps/main/root/srv/app") if moved else "/srv/app")
    assert (file, shared) == ("file", "/dev/shm")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            "parameters: [{name: p, valueFrom: {path: /tmp/p}}]",
            "output parameter 'p' was not written: no file /tmp/p",
        ),
        (
            "artifacts: [{name: a, path: /tmp/a}]",
            "output artifact 'a' was not written: no file or folder /tmp/a",
        ),
    ],
)
def test_a_missing_output_is_an_error(run: Run, output: str, message: str) -> None:
    result = run(ONE % f"outputs: {{{output}}}\n  container: {{image: x, command: ['true']}}")
    assert (result.phase.value, node(result, "main").exit_code) == ("Error", 0)
    assert node(result, "main").message == message


def test_defaults_and_optional_outputs(run: Run) -> None:
    result = run(
        ONE
        % """outputs:
    parameters: [{name: p, valueFrom: {path: /tmp/p, default: none}}]
    artifacts: [{name: a, path: /tmp/a, optional: true}]
  container: {image: x, command: ['true']}"""
    )
    assert (result.succeeded, dict(result.outputs.parameters)) == (True, {"p": "none"})


def test_an_unknown_program(run: Run) -> None:
    result = run(ONE % "container: {image: x, command: [no-such-program]}")
    found = node(result, "main")
    assert (result.phase.value, found.phase.value, found.exit_code) == ("Failed", "Failed", 64)
    assert "no-such-program" in found.message


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("exit 7", 7, "exit code 7"),
        ("kill -9 $$", 137, "exit code 137 (SIGKILL)"),
        ("exit 143", 143, "exit code 143 (SIGTERM)"),
    ],
)
def test_ends(run: Run, command: str, code: int, message: str) -> None:
    source = f"script: {{image: x, command: [sh], source: '{command}'}}"
    found = node(run(ONE % source), "main")
    assert (found.phase.value, found.exit_code, found.message) == ("Failed", code, message)


def test_the_end_of_a_long_log(run: Run) -> None:
    found = node(run(ONE % "script: {image: x, command: [sh], source: 'seq 1 9000; exit 1'}"), "main")
    assert found.log_tail[-1] == "9000"
    assert len(found.log_tail) == 20


def test_a_large_result_keeps_its_end(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - {name: a, template: big}
  - - name: b
      template: count
      arguments: {artifacts: [{name: r, raw: {data: "{{steps.a.outputs.result}}"}}]}
- {name: big, container: {image: x, command: [python, -c, "print('a' * 600000 + 'end')"]}}
- name: count
  inputs: {artifacts: [{name: r, path: /in/r}]}
  container: {image: x, command: [sh, -c, "wc -c < /in/r; tail -c 3 /in/r"]}
""")
    assert log(result, "b").split() == [str(256 * 1024 - 1), "end"]  # its last newline is taken off


def marked(mark: str) -> list[str]:
    """Names of the processes that carry a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            is_marked = process.environ().get("RUNNER_TEST_MARK") == mark
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


LINGERING = "sleep 600 & (setsid sleep 600 >/dev/null 2>&1 &) ; trap '' TERM; %s"


@pytest.mark.parametrize(
    ("field", "end", "phase"),
    [
        ("activeDeadlineSeconds: 1", "sleep 600; sleep 600", "Failed"),
        ("timeout: 1s", "sleep 600; sleep 600", "Error"),
        ("", "exit 0", "Succeeded"),
    ],
)
def test_nothing_is_left_behind(
    run: Run, monkeypatch: pytest.MonkeyPatch, field: str, end: str, phase: str
) -> None:
    monkeypatch.setattr("argosy.local.process.GRACE", 0.2)
    mark = f"{os.getpid()}-{field}"
    script = f'script: {{image: x, command: [sh], source: "{LINGERING % end}"}}'
    result = run(ONE % f"{field}\n  {script}", environment={"RUNNER_TEST_MARK": mark})
    assert result.phase.value == phase
    assert marked(mark) == []
    if field:
        assert "ran longer than 1 s" in node(result, "main").message


def test_the_workflows_deadline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy.local.process.GRACE", 0.2)
    result = run("""
activeDeadlineSeconds: 1
onExit: bye
templates:
- name: main
  dag: {tasks: [{name: a, template: slow}, {name: b, template: slow, depends: a}]}
- {name: slow, container: {image: x, command: [sleep, "600"]}}
- {name: bye, container: {image: x, command: [echo, "{{workflow.status}}"]}}
""")
    assert result.phase.value == "Failed"
    assert "longer than 1 s" in result.message
    assert [(n.name, n.phase.value) for n in result.nodes] == [
        ("a", "Failed"),
        ("b", "Omitted"),
        ("onExit", "Succeeded"),
    ]
    assert log(result, "onExit") == "Failed\n"


def test_a_folder_whose_name_needs_quotes(tmp_path: Path) -> None:
    spec = """
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: echo, withItems: ["it's (one)"], arguments: {parameters: [{name: m, value: fine}]}}
"""
    result = run_manifest(
        manifest(spec),
        parameters={},
        run_dir=tmp_path / "my (run) & $HOME",
        environment={},
        reporter=NullReporter(),
    )
    assert result.succeeded
    assert node(result, "a").outputs.parameters["out"] == '["fine"]'


def test_a_failed_program_says_why_in_its_last_words(run: Run) -> None:
    words = "echo promote: no metric > $ARGOSY_TERMINATION_LOG; exit 3"
    result = run(ONE % f"container: {{image: x, command: [sh, -c, '{words}']}}")
    assert node(result, "main").message == "exit code 3: promote: no metric"


def test_a_failed_program_on_a_full_disk_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(f_bfree=3, f_bavail=3, f_frsize=4096, f_blocks=1000)
    monkeypatch.setattr(os, "statvfs", lambda folder: full)
    result = run("templates: [{name: main, container: {image: x, command: [sh, -c, 'exit 3']}}]")
    place = result.run_dir / "steps" / "main"
    assert node(result, "main").message == f"exit code 3; the disk of {place} is full, which may be why"


def test_last_words_of_a_program_that_succeeded_are_no_message(run: Run) -> None:
    words = "echo done > $ARGOSY_TERMINATION_LOG"
    result = run(ONE % f"container: {{image: x, command: [sh, -c, '{words}']}}")
    assert result.succeeded and node(result, "main").message == ""
