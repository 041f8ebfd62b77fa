"""Init containers and sidecars: in order before the main program, and beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.conftest import Run, log, node, phases

INIT = """
templates:
- name: main
  steps: [[{{name: a, template: a}}]]
- name: a
  volumes: [{{name: v, emptyDir: {{}}}}]
  initContainers:
  - name: first
    image: x
    command: [sh, -c, 'echo one > /init/f']
    volumeMounts: [{{name: v, mountPath: /init}}]
  - {{name: second, image: x, command: [sh, -c, 'echo two >> /mnt/v/f; {ends}'], mirrorVolumeMounts: true}}
  container:
    image: x
    command: [sh, -c, 'cat /mnt/v/f']
    volumeMounts: [{{name: v, mountPath: /mnt/v}}]
"""


def test_init_containers_run_in_order_and_share_the_volumes(run: Run) -> None:
    result = run(INIT.format(ends="true"))
    assert (phases(result), log(result, "a")) == ({"a": "Succeeded"}, "one\ntwo\n")


def test_an_init_container_that_fails_is_the_end(run: Run) -> None:
    result = run(INIT.format(ends="exit 7"))
    found = node(result, "a")
    assert (found.phase.value, found.message, found.exit_code) == ("Failed", "second: exit code 7", None)
    assert not (result.run_dir / "steps/a/main.log").exists()


SIDECAR = """
templates:
- name: main
  steps: [[{{name: a, template: a}}]]
- name: a
  volumes: [{{name: v, emptyDir: {{}}}}]
  container:
    image: x
    command: [sh, -c, 'until test -e /v/up; do sleep 0.05; done; cat /v/up; {ends}']
    volumeMounts: [{{name: v, mountPath: /v}}]
  sidecars:
  - {{name: side, image: x, command: [sh, -c, '{side}'], mirrorVolumeMounts: true}}
"""


@pytest.mark.parametrize(
    ("ends", "phase", "message"), [("true", "Succeeded", ""), ("exit 3", "Failed", "exit code 3")]
)
def test_a_sidecar_is_stopped_when_the_main_program_has_ended(
    run: Run, ends: str, phase: str, message: str
) -> None:
    result = run(SIDECAR.format(ends=ends, side="echo $$$$ > /v/new; mv /v/new /v/up; exec sleep 600"))
    found = node(result, "a")
    assert (found.phase.value, found.message) == (phase, message)
    assert not Path(f"/proc/{int(log(result, 'a'))}").exists()
    assert (result.run_dir / "steps/a/containers/side").is_dir()


def test_a_sidecar_that_ended_by_itself_with_an_exit_code_makes_the_step_failed(run: Run) -> None:
    text = SIDECAR.format(
        ends="while test -e /proc/$(cat /v/up); do sleep 0.05; done",
        side="echo $$$$ > /v/new; mv /v/new /v/up; exit 4",
    )
    found = node(run(text), "a")
    assert (found.phase.value, found.message, found.exit_code) == ("Failed", "side: exit code 4", 0)
