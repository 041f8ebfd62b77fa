"""DAGs in which something fails: what still runs, what does not, and how the workflow ends."""

from __future__ import annotations

import pytest

from tests.local.conftest import Run, node, phases


def test_a_failed_task_fails_the_workflow_and_omits_the_rest(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: ok}
    - {name: b, template: bad, depends: a}
    - {name: c, template: ok, depends: b}
    - {name: d, template: ok, depends: "a && c"}
""")
    assert phases(result) == {"a": "Succeeded", "b": "Failed", "c": "Omitted", "d": "Omitted"}
    failed = node(result, "b")
    assert (result.phase.value, failed.exit_code, failed.message) == ("Failed", 3, "exit code 3")
    assert failed.log_tail == ("the reason",)
    assert "'b'" in result.message
    assert [n.name for n in result.failed_nodes] == ["b"]


def test_a_failure_that_somebody_waits_for_is_handled(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: bad}
    - {name: rescue, template: ok, depends: a.Failed}
    - {name: normal, template: ok, depends: a.Succeeded || rescue.Succeeded}
""")
    assert result.succeeded
    assert phases(result) == {"a": "Failed", "rescue": "Succeeded", "normal": "Succeeded"}


def test_continue_on(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: bad, continueOn: {failed: true}}
    - {name: b, template: ok, dependencies: [a]}
""")
    assert result.succeeded
    assert phases(result) == {"a": "Failed", "b": "Succeeded"}


FAILING_BRANCH = """
templates:
- name: main
  dag:
    failFast: %s
    tasks:
    - {name: bad, template: bad}
    - {name: wait, template: wait}
    - {name: later, template: ok, depends: wait}
- name: wait
  script:
    image: x
    command: [sh]
    source: |
      until grep -qs '"phase": "Failed"' ../../../run.*; do sleep 0.05; done
"""


@pytest.mark.parametrize("fail_fast", ["true", "false"])
def test_other_branches_of_a_dag_go_on_after_a_failure(run: Run, fail_fast: str) -> None:
    result = run(FAILING_BRANCH % fail_fast)
    assert phases(result) == {"bad": "Failed", "wait": "Succeeded", "later": "Succeeded"}
    assert result.phase.value == "Failed"


def test_a_gate_that_crashes_is_not_a_gate_that_said_no(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: gate, template: gate}
    - name: next
      depends: gate.Succeeded
      when: "{{tasks.gate.outputs.parameters.r}} == passed"
      template: ok
- name: gate
  outputs: {parameters: [{name: r, valueFrom: {path: /tmp/r}}]}
  container: {image: x, command: [sh, -c, "exit 1"]}
""")
    assert result.phase.value == "Failed"
    assert phases(result) == {"gate": "Failed", "next": "Omitted"}
