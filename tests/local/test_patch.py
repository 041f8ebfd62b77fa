"""podSpecPatch: merged into a template as Kubernetes merges it into the pod."""

from __future__ import annotations

import pytest

from argosy.errors import ManifestError
from tests.local.conftest import Run, log, node

SPEC = """
%s
templates:
- name: main
  inputs: {parameters: [{name: who, value: ada}]}
  podSpecPatch: '%s'
  container:
    image: x
    command: [sh, -c]
    args: ['echo $A $B']
    env: [{name: A, value: a}, {name: B, value: b}]
"""


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        (
            '{"containers":[{"name":"main","env":[{"name":"B","value":"{{inputs.parameters.who}}"}]}]}',
            "a ada",
        ),
        ('{"containers":[{"name":"main","args":["echo $B"],"resources":{"limits":{"cpu":"1"}}}]}', "b"),
        ('{"containers":[{"name":"main","env":null}],"nodeSelector":{"a":"b"}}', ""),
        ('{"containers":[{"name":"wait","env":[{"name":"A","value":"no"}]}]}', "a b"),
        ("containers: [{name: main, command: [echo, yaml], args: []}]", "yaml"),
        ("containers: [{name: main, env: [{name: B, value: 12:30:45}]}]", "a 12:30:45"),
    ],
)
def test_what_a_patch_changes(run: Run, patch: str, says: str) -> None:
    assert log(run(SPEC % ("", patch)), "main") == f"{says}\n"


def test_a_templates_patch_goes_over_the_workflows(run: Run) -> None:
    both = "[{name: A, value: outer}, {name: B, value: outer}]"
    outer = f"podSpecPatch: 'containers: [{{name: main, env: {both}}}]'"
    inner = "containers: [{name: main, env: [{name: B, value: inner}]}]"
    assert log(run(SPEC % (outer, inner)), "main") == "outer inner\n"


def test_a_deadline_in_a_patch(run: Run) -> None:
    patch = '{"activeDeadlineSeconds":1,"containers":[{"name":"main","args":["sleep 600"]}]}'
    found = node(run(SPEC % ("", patch)), "main")
    assert (found.phase.value, found.message) == ("Failed", "ran longer than 1 s and was stopped")


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ('{"hostPID":true}', "podSpecPatch: .hostPID. cannot be run on one machine"),
        ('{"containers":[{"name":"mian"}]}', "no container 'mian'; did you mean 'main'"),
        ('{"containers":[{"name":"main","lifecycle":{"preStop":{}}}]}', "lifecycle"),
        ('{"a": [', "podSpecPatch is not YAML"),
    ],
)
def test_what_a_patch_cannot_change_here_is_named(run: Run, patch: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        run(SPEC % ("", patch))
