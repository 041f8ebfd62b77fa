"""Hooks of tasks, steps and workflows: they run once, as soon as their expression holds."""

from __future__ import annotations

import asyncio

import pytest

from argosy.errors import ManifestError
from argosy.local.calls import Turns
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
        ("{template: ok}", "hook 'h' has no expression"),
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


def test_of_items_that_end_together_the_first_by_number_has_its_hook() -> None:
    """As in Argo, which looks at all items at once; those left when the last one has ended get none."""

    async def item(turns: Turns, number: int) -> bool:
        async with turns.turn(number) as mine:
            if mine:  # the hook runs until all have ended
                await asyncio.sleep(4 * turns.SECONDS)
            return mine

    async def ended(*numbers: int) -> list[bool]:
        turns = Turns(len(numbers))
        async with asyncio.timeout(10):
            return await asyncio.gather(*(item(turns, number) for number in numbers))

    assert asyncio.run(ended(1, 0)) == [False, True]
    assert asyncio.run(ended(2, 0, 1)) == [False, True, False]
    assert asyncio.run(ended(0, 1)) == [True, False]


def test_on_exit_wins_over_a_hook_of_that_name(run: Run) -> None:
    """As in Argo's GetExitHook, of a workflow and of a step."""
    said = "{template: echo, arguments: {parameters: [{name: m, value: hook}]}}"
    result = run(f"""
onExit: ok
hooks: {{exit: {said}}}
templates:
- name: main
  steps:
  - - {{name: a, template: ok, onExit: ok, hooks: {{exit: {said}}}}}
""")
    assert [node.template for node in result.nodes if node.name in ("onExit", "a.onExit")] == ["ok", "ok"]
