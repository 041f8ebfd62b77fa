"""The templates that a run which goes on may carry out, told before it does."""

from __future__ import annotations

from typing import Any

import pytest

from argosy.local.check import check
from argosy.local.left import left_to_run
from argosy.local.node import Phase
from tests.local.conftest import Run, manifest

SPEC = """
onExit: tidy
templates:
- name: main
  dag:
    tasks:
    - {name: first, template: t1}
    - {name: many, template: t2, withItems: [1, 2], depends: first}
    - {name: inner, template: sub, depends: first}
    - {name: watched, template: t3, depends: inner, hooks: {exit: {template: t4}}}
    - {name: last, template: t5, depends: many && watched}
    - {name: maybe, template: t6, depends: first, when: "1 == 2"}
- name: sub
  steps: [[{name: a, template: t7}], [{name: b, template: t8}], [{name: c, template: t9}]]
"""
ALL = {"main", "sub", "tidy", *(f"t{number}" for number in range(1, 10))}


def spec() -> dict[str, Any]:
    made = manifest(SPEC)
    leaves = sorted(ALL - {"main", "sub"})
    made["spec"]["templates"] += [
        {"name": name, "container": {"image": "x", "command": ["sh", "-c", f"test ! -e $HOME/{name}"]}}
        for name in leaves
    ]
    return made


DONE = [
    "first",
    "many",
    "many(0:1)",
    "many(1:2)",
    "inner",
    "inner.a",
    "inner.b",
    "inner.c",
    "watched",
    "last",
]


@pytest.mark.parametrize(
    ("ended", "left"),
    [
        ({}, {"tidy"}),
        ({"last": "Failed"}, {"tidy", "t5"}),
        ({"many": "Failed", "many(1:2)": "Failed", "last": "Omitted"}, {"tidy", "t2", "t5"}),
        ({"inner": "Failed", "inner.b": "Error", "inner.c": None, "watched": None, "last": None},
         {"tidy", "sub", "t8", "t9", "t3", "t4", "t5"}),
        ({"watched.onExit": "Failed"}, {"tidy", "t4"}),
        ({"first": "Failed"}, ALL - {"main"}),
        ({"maybe": None}, {"tidy", "t6"}),
    ],
)  # fmt: skip
def test_what_is_taken_over_does_not_run_again(ended: dict[str, str | None], left: set[str]) -> None:
    phases = {**dict.fromkeys(DONE, "Succeeded"), "maybe": "Skipped", **ended}
    known = {name: Phase(phase) for name, phase in phases.items() if phase}
    workflow = check(spec(), {}, linted=True).workflow
    assert set(left_to_run(workflow, known)) == left


def test_a_secret_of_a_step_that_is_taken_over_is_not_asked_for(run: Run) -> None:
    whole = """
templates:
- name: main
  steps: [[{name: secret, template: secret}], [{name: loop, template: echo, withItems: [1, 2]}]]
- name: secret
  container:
    image: x
    command: [sh, -c, 'test "$S" = 1']
    env: [{name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}]
"""
    assert run(whole, environment={"S": "1"}).succeeded
    assert run(whole, resume=True).succeeded


def test_a_secret_that_is_missing_after_all_ends_the_step(run: Run) -> None:
    whole = """
templates:
- name: main
  dag:
    tasks:
    - {name: again, template: ok, when: "{{workflow.parameters.no}} == yes"}
    - {name: secret, template: secret, depends: again}
- name: secret
  container:
    image: x
    command: [sh, -c, 'test "$S" = 1']
    env: [{name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}]
arguments: {parameters: [{name: "no", value: "no"}]}
"""
    assert run(whole, environment={"S": "1"}).succeeded
    result = run(whole, resume=True, parameters={"no": "yes"})
    told = {node.name: node.message for node in result.nodes if node.phase.is_bad}
    assert told == {"secret": "env 'S' comes from the key 'k' of the secret 's', which nobody gives"}
