"""Hooks of tasks, steps and workflows: they run once, as soon as their expression holds."""

from __future__ import annotations

import pytest

from argosy.errors import ManifestError
from tests.local.conftest import Run, log, phases

HOOKED = """
hooks:
  running: {expression: 'workflow.status == "Running"', template: ok}
  failed: {expression: 'workflow.status == "Failed"', template: ok}
  never: {expression: 'workflow.status == "Succeeded"', template: ok}
templates:
- name: main
  dag:
    tasks:
    - name: a
      template: bad
      hooks:
        running: {expression: 'tasks.a.status == "Running"', template: ok}
        failed:
          expression: 'tasks["a"].status == "Failed" && asInt(tasks["a"].exitCode) == 3'
          template: echo
          arguments: {parameters: [{name: m, value: "code {{tasks.a.exitCode}}"}]}
        never: {expression: 'tasks.a.status == "Succeeded"', template: ok}
"""


def test_hooks_run_when_their_expression_holds(run: Run) -> None:
    result = run(HOOKED)
    assert result.phase.value == "Failed"
    assert phases(result) == {
        "hooks.running": "Succeeded",
        "a": "Failed",
        "a.hooks.running": "Succeeded",
        "a.hooks.failed": "Succeeded",
        "hooks.failed": "Succeeded",
    }
    assert log(result, "a.hooks.failed") == "code 3\n"


def test_an_exit_hook_may_have_an_expression(run: Run) -> None:
    result = run("""
hooks: {exit: {expression: 'workflow.status == "Failed"', template: ok}}
templates:
- name: main
  steps:
  - - name: a
      template: ok
      hooks: {exit: {expression: 'steps.a.status == "Failed"', template: ok}}
    - name: b
      template: ok
      hooks: {exit: {expression: 'steps.b.status == "Succeeded"', template: ok}}
""")
    assert phases(result) == {"a": "Succeeded", "b": "Succeeded", "b.onExit": "Succeeded"}


def test_a_hook_that_fails_changes_nothing_else(run: Run) -> None:
    result = run("""
hooks: {started: {expression: 'workflow.status == "Running"', template: bad}}
templates: [{name: main, steps: [[{name: a, template: ok}]]}]
""")
    assert result.succeeded
    assert phases(result)["hooks.started"] == "Failed"


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        ("{template: ok}", "hooks.h needs an expression"),
        ("{expression: 'true'}", "hooks.h needs a template"),
        ("{template: ok, expression: '1 +'}", "hooks.h.expression.*cannot be read"),
        ("{template: ok, expression: 'nope.x == 1'}", "there is no 'nope' here"),
        ("{template: none, expression: 'true'}", "no template 'none'"),
    ],
)
def test_hooks_that_cannot_work_are_refused(run: Run, hook: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says.replace("+", r"\+")):
        run(f"templates: [{{name: main, steps: [[{{name: a, template: ok, hooks: {{h: {hook}}}}}]]}}]")


def test_the_entrypoint_may_be_retried_as_a_whole(run: Run) -> None:
    result = run("""
templates:
- name: main
  retryStrategy: {limit: "1"}
  steps: [[{name: a, template: bad}]]
""")
    assert phases(result) == {"main": "Failed", "main(0).a": "Failed", "main(1).a": "Failed"}


def test_a_deadline_of_a_composition_is_refused_as_in_argo(run: Run) -> None:
    with pytest.raises(ManifestError, match="'activeDeadlineSeconds' belongs to container and script"):
        run("""
templates:
- name: main
  activeDeadlineSeconds: 1
  steps: [[{name: a, template: long}]]
- {name: long, container: {image: x, command: [sleep, "60"]}}
""")
