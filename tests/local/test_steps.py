"""Steps templates, nesting, loops, exit hooks."""

from __future__ import annotations

import json

import pytest

from argosy.compose.ending import Ending
from tests.local.conftest import Run, log, node, phases


def test_groups_in_order_and_results(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - {name: a, template: echo, arguments: {parameters: [{name: m, value: one}]}}
    - {name: b, template: echo, arguments: {parameters: [{name: m, value: two}]}}
  - - name: c
      template: echo
      arguments:
        parameters: [{name: m, value: "{{steps.a.outputs.result}}-{{steps.b.outputs.parameters.out}}"}]
""")
    assert log(result, "c") == "one-two\n"
    assert node(result, "a").outputs.result == "one"


def test_a_failed_group_is_the_last(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - {name: a, template: bad}
    - {name: b, template: echo, arguments: {parameters: [{name: m, value: x}]}}
  - - {name: c, template: bad}
""")
    assert phases(result) == {"a": "Failed", "b": "Succeeded", "c": "Omitted"}
    assert result.phase.value == "Failed"


def test_continue_on_failed_steps(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - {name: a, template: bad, continueOn: {failed: true}}
  - - name: b
      template: echo
      arguments: {parameters: [{name: m, value: "{{steps.a.status}} {{steps.a.exitCode}}"}]}
""")
    assert result.succeeded
    assert log(result, "b") == "Failed 3\n"


def test_nested_templates_have_qualified_names(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: outer, template: inner, arguments: {parameters: [{name: x, value: deep}]}}
    - name: after
      depends: outer
      template: echo
      arguments: {parameters: [{name: m, value: "{{tasks.outer.outputs.parameters.y}}"}]}
- name: inner
  inputs: {parameters: [{name: x}]}
  outputs: {parameters: [{name: y, valueFrom: {parameter: "{{steps.one.outputs.parameters.out}}"}}]}
  steps:
  - - {name: one, template: echo, arguments: {parameters: [{name: m, value: "{{inputs.parameters.x}}"}]}}
""")
    assert [n.name for n in result.nodes] == ["outer", "outer.one", "after"]
    assert node(result, "outer.one").display_name == "one"
    assert log(result, "after") == "deep\n"


def test_loops_and_their_lists(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - name: each
      template: echo
      withItems: [a, b b, c]
      when: "'{{=sprig.trunc(1, item)}}' != 'c'"
      arguments: {parameters: [{name: m, value: "item {{item}}"}]}
    - name: count
      template: echo
      withSequence: {count: 2, format: "n%d"}
      arguments: {parameters: [{name: m, value: "{{item}}"}]}
    - name: again
      depends: count
      template: echo
      withParam: "{{tasks.count.outputs.parameters.out}}"
      arguments: {parameters: [{name: m, value: "{{item}}+"}]}
    - name: all
      depends: again
      template: echo
      arguments: {parameters: [{name: m, value: "{{tasks.again.outputs.parameters.out}}"}]}
""")
    assert result.succeeded
    found = phases(result)
    assert (found["each"], found["each(0:a)"], found["each(2:c)"]) == ("Succeeded", "Succeeded", "Skipped")
    assert log(result, "all") == '["n0+","n1+"]\n'


def test_results_of_loops_in_depends(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - name: some
      template: exit
      withItems: [0, 1]
      arguments: {parameters: [{name: code, value: "{{item}}"}]}
    - {name: any, template: ok, depends: some.AnySucceeded}
    - {name: none, template: ok, depends: some.AllFailed}
- name: exit
  inputs: {parameters: [{name: code}]}
  container: {image: x, command: [sh, -c, "exit {{inputs.parameters.code}}"]}
""")
    found = phases(result)
    assert (found["some"], found["any"], found["none"]) == ("Failed", "Succeeded", "Omitted")
    assert result.phase.value == "Failed"  # the omitted branch ends in a failure that nobody handled


def test_an_empty_list_is_skipped(run: Run) -> None:
    result = run("""
arguments: {parameters: [{name: list, value: "[]"}]}
templates:
- name: main
  steps:
  - - name: none
      template: echo
      withParam: "{{workflow.parameters.list}}"
      arguments: {parameters: [{name: m, value: "{{item}}"}]}
""")
    assert (result.succeeded, phases(result)) == (True, {"none": "Skipped"})


HANDLER = """
onExit: bye
templates:
- name: main
  dag: {tasks: [{name: work, template: %s}]}
- name: bye
  container:
    image: x
    command: [sh, -c, 'echo "$1"; exit %d', sh]
    args: ["{{workflow.status}} {{workflow.failures}}"]
"""


def test_the_exit_handler_runs_after_success(run: Run) -> None:
    result = run(HANDLER % ("ok", 0))
    assert (result.succeeded, log(result, "onExit")) == (True, 'Succeeded "[]"\n')


def test_the_exit_handler_cannot_hide_a_failure(run: Run) -> None:
    result = run(HANDLER % ("bad", 0))
    assert result.phase.value == "Failed"
    assert "'work' failed" in result.message
    status, _, failures = log(result, "onExit").partition(" ")
    assert status == "Failed"
    assert json.loads(json.loads(failures))[0]["displayName"] == "work"


def test_an_exit_handler_that_fails_fails_the_workflow(run: Run) -> None:
    result = run(HANDLER % ("ok", 4))
    assert result.phase.value == "Failed"
    assert "exit handler" in result.message


def test_hooks_of_tasks_see_their_task(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - name: work
      template: bad
      hooks:
        exit: {template: echo, arguments: {parameters: [{name: m, value: "{{tasks.work.status}}"}]}}
""")
    assert log(result, "work.onExit") == "Failed\n"
    assert result.phase.value == "Failed"


def test_global_outputs(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - {name: a, template: give}
  - - name: b
      template: echo
      arguments: {parameters: [{name: m, value: "{{workflow.outputs.parameters.everywhere}}"}]}
- name: give
  outputs: {parameters: [{name: p, globalName: everywhere, valueFrom: {path: /tmp/p}}]}
  container: {image: x, command: [sh, -c, "echo here > /tmp/p"]}
""")
    assert log(result, "b") == "here\n"
    assert result.outputs.parameters == {"everywhere": "here"}


ENDS = """
onExit: bye
templates:
- name: main
  dag: {tasks: [{name: good, template: ok}, {name: worse, template: %s}]}
- name: again
  retryStrategy: {limit: 1, retryPolicy: Always}
  container: {image: x, command: [sh, -c, "exit 3"]}
- name: bye
  dag:
    tasks:
    - {name: tell, template: echo, arguments: {parameters: [{name: m, value: "%s"}]}}
"""


@pytest.mark.parametrize(("template", "failed"), [("again", '["worse"]'), ("ok", "[]")])
def test_the_names_of_failed_steps_reach_the_exit_handler(run: Run, template: str, failed: str) -> None:
    result = run(ENDS % (template, Ending().failed))
    assert log(result, "onExit.tell") == f"{failed}\n"
