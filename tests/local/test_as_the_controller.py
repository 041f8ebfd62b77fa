"""Turns of Argo's controller that surprise: a local run takes them too."""

from __future__ import annotations

import pytest

from tests.local.conftest import Run, log, node, phases


def test_with_items_of_nothing_is_no_loop(run: Run) -> None:
    result = run("""
templates:
- name: main
  steps:
  - - name: a
      template: echo
      withItems: []
      arguments: {parameters: [{name: m, value: "{{item}}"}]}
""")
    assert (phases(result), log(result, "a")) == ({"a": "Succeeded"}, "{{item}}\n")


@pytest.mark.parametrize(("when", "phase"), [("1 == 2", "Skipped"), ("1 == 1", "Error")])
def test_with_param_is_read_only_where_when_holds(run: Run, when: str, phase: str) -> None:
    result = run(f"""
templates:
- name: main
  dag: {{tasks: [{{name: a, template: ok, when: {when}, withParam: "no list"}}]}}
""")
    assert phases(result) == {"a": phase}


def test_outputs_of_an_empty_loop_have_no_value(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: echo, withParam: "[]"}
    - name: b
      depends: a
      template: echo
      arguments: {parameters: [{name: m, value: "all: {{tasks.a.outputs.parameters.out}}"}]}
""")
    assert phases(result) == {"a": "Skipped", "b": "Error"}
    assert "cannot resolve {{tasks.a.outputs.parameters.out}}" in node(result, "b").message


GATHER = """
templates:
- name: main
  dag:
    tasks:
    - name: a
      template: echo
      withItems: %s
      arguments: {parameters: [{name: m, value: "{{item}}"}]}
    - name: b
      depends: a
      template: echo
      arguments: {parameters: [{name: m, value: "{{tasks.a.outputs.result}}"}]}
"""


def test_gathered_results_are_json_values(run: Run) -> None:
    assert log(run(GATHER % "[1, '\"x\"']"), "b") == '[1,"x"]\n'


def test_gathered_text_stops_the_workflow(run: Run) -> None:
    result = run(GATHER % "[x, y]")
    assert (result.phase.value, phases(result)["b"]) == ("Error", "Error")
    assert "print JSON, or pass an output parameter" in node(result, "b").message


def test_a_group_with_a_step_that_cannot_be_resolved_does_not_start(run: Run) -> None:
    result = run("""
arguments: {parameters: [{name: stage, value: stage-1}]}
templates:
- name: main
  steps:
  - - {name: a, template: ok}
    - {name: b, template: ok, when: "{{workflow.parameters.stage}} == x"}
  - - {name: c, template: ok}
""")
    assert result.phase.value == "Failed"
    assert phases(result) == {"a": "Omitted", "b": "Error", "c": "Omitted"}


def test_a_templates_fail_fast_starts_nothing_more(run: Run) -> None:
    result = run("""
templates:
- name: main
  failFast: true
  parallelism: 1
  steps:
  - - {name: a, template: bad, withItems: [1, 2, 3], continueOn: {failed: true}}
  - - {name: b, template: ok}
""")
    found = phases(result)
    assert [found[f"a({n}:{n + 1})"] for n in range(3)] == ["Failed", "Omitted", "Omitted"]
    assert (result.phase.value, found["b"]) == ("Failed", "Omitted")


def test_a_program_that_is_not_there_is_retried_as_a_failure(run: Run) -> None:
    result = run("""
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- {name: a, retryStrategy: {limit: "1"}, container: {image: x, command: [no-such-program]}}
""")
    assert [(a.phase.value, a.exit_code) for a in node(result, "a").attempts] == [("Failed", 64)] * 2


def test_a_back_off_without_a_duration_is_an_error(run: Run) -> None:
    result = run("""
templates:
- {name: main, steps: [[{name: a, template: a}]]}
- {name: a, retryStrategy: {limit: "1", backoff: {factor: 2}}, container: {image: x, command: ["false"]}}
""")
    found = node(result, "a")
    assert (found.phase.value, len(found.attempts)) == ("Error", 1)
    assert "no base duration" in found.message


def test_expressions_are_evaluated_wherever_a_tag_may_stand(run: Run) -> None:
    result = run("""
arguments: {parameters: [{name: n, value: "3"}]}
templates:
- name: main
  dag:
    tasks:
    - {name: 'no', template: echo, when: "{{=asInt(workflow.parameters.n) > 5}}"}
    - name: 'yes'
      template: echo
      arguments: {parameters: [{name: m, value: "{{=asInt(workflow.parameters.n) * 2}}"}]}
    - name: last
      depends: yes && no
      template: echo
      arguments: {parameters: [{name: m, value: "{{=tasks['no'].outputs?.result ?? 'none'}}"}]}
  outputs:
    parameters:
    - name: r
      valueFrom: {expression: "tasks['no'].status == 'Skipped' ? tasks.yes.outputs.parameters.out : 'x'"}
""")
    assert result.succeeded
    assert (log(result, "yes"), log(result, "last")) == ("6\n", "none\n")
    assert result.outputs.parameters["r"] == "6"
