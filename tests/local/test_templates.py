"""Ways to write templates: defaults, inline, recursion, parts and modes of artifacts, other kinds."""

from __future__ import annotations

from pathlib import Path

from argosy.local import NullReporter, run_manifest
from tests.local.conftest import Run, log, manifest, node, phases


def test_defaults_for_all_templates(run: Run) -> None:
    result = run("""
templateDefaults:
  retryStrategy: {limit: 1}
  container: {env: [{name: WHO, value: default}]}
  script: {env: [{name: WHO, value: default}]}
templates:
- name: main
  steps:
  - - {name: a, template: a}
    - {name: b, template: b}
- {name: a, container: {image: x, command: [sh, -c, 'echo $WHO; test {{retries}} = 1']}}
- {name: b, retryStrategy: {limit: 0}, container: {image: x, command: [sh, -c, 'echo $WHO'], env: []}}
""")
    assert result.succeeded
    assert (log(result, "a"), log(result, "b")) == ("default\n", "\n")
    assert len(node(result, "a").attempts) == 2


def test_a_retry_strategy_for_the_whole_workflow(run: Run) -> None:
    result = run("""
retryStrategy: {limit: 2}
templates:
- name: main
  dag: {tasks: [{name: a, template: a}]}
- {name: a, container: {image: x, command: [sh, -c, 'test {{retries}} = 2']}}
""")
    assert (result.succeeded, len(node(result, "a").attempts)) == (True, 3)


def test_a_nested_template_is_retried_as_a_whole(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag: {tasks: [{name: outer, template: inner}]}
- name: inner
  retryStrategy: {limit: 1}
  dag: {tasks: [{name: a, template: ok}, {name: b, template: once, depends: a}]}
- name: once
  script: {image: x, command: [sh], source: 'test -e ../../../again || { touch ../../../again; exit 1; }'}
""")
    assert phases(result) == {
        "outer": "Succeeded",
        "outer(0).a": "Succeeded",
        "outer(0).b": "Failed",
        "outer(1).a": "Succeeded",
        "outer(1).b": "Succeeded",
    }


def test_inline_templates(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, inline: {container: {image: x, command: [echo, inline]}}}
""")
    assert log(result, "a") == "inline\n"


def test_a_template_that_calls_itself(run: Run) -> None:
    result = run("""
arguments: {parameters: [{name: n, value: "1"}]}
templates:
- name: main
  inputs: {parameters: [{name: n}]}
  steps:
  - - name: longer
      template: echo
      arguments: {parameters: [{name: m, value: "{{inputs.parameters.n}}1"}]}
  - - name: again
      template: main
      when: "{{steps.longer.outputs.parameters.out}} < 1000"
      arguments: {parameters: [{name: n, value: "{{steps.longer.outputs.parameters.out}}"}]}
""")
    assert result.succeeded
    assert phases(result)["again.again.again"] == "Skipped"
    assert log(result, "again.again.longer") == "1111\n"


def test_parts_and_modes_of_artifacts(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: make, template: make}
    - name: use
      depends: make
      template: use
      arguments:
        artifacts:
        - {name: part, from: "{{tasks.make.outputs.artifacts.all}}", subPath: deep/tool}
        - {name: absent, from: "{{tasks.make.outputs.artifacts.maybe}}"}
- name: make
  outputs: {artifacts: [{name: all, path: /out/all}, {name: maybe, path: /out/maybe, optional: true}]}
  script:
    image: x
    command: [sh]
    source: mkdir -p /out/all/deep; printf '#!/bin/sh\\necho tool\\n' > /out/all/deep/tool
- name: use
  inputs:
    artifacts: [{name: part, path: /in/tool, mode: 493}, {name: absent, path: /in/absent, optional: true}]
  container: {image: x, command: [sh, -c, "/in/tool; stat -c %a /in/tool; test -e /in/absent || echo absent"]}
""")
    assert log(result, "use") == "tool\n755\nabsent\n"


def test_an_output_that_is_a_link_keeps_what_it_points_at(run: Run) -> None:
    result = run("""
templates:
- name: main
  outputs: {artifacts: [{name: a, path: /out/a}]}
  container: {image: x, command: [sh, -c, "echo content > real; ln -s $PWD/real /out/a"]}
""")
    kept = result.run_dir / result.outputs.artifacts["a"]
    assert (kept.is_symlink(), kept.read_text()) == (False, "content\n")


def test_the_workflow_that_a_cron_workflow_would_start(tmp_path: Path) -> None:
    spec = manifest(
        "{templates: [{name: main, container: {image: x, command: [echo, '{{workflow.name}}']}}]}"
    )["spec"]
    document = {"kind": "CronWorkflow", "metadata": {"name": "nightly"}}
    document["spec"] = {"schedules": ["0 1 * * *"], "workflowSpec": spec}
    result = run_manifest(
        document, parameters={}, run_dir=tmp_path / "run", environment={}, reporter=NullReporter()
    )
    assert result.name.startswith("nightly-")
    assert log(result, "main") == f"{result.name}\n"


def test_values_in_the_manifest_may_hold_tags_and_given_ones_may_not(run: Run) -> None:
    result = run(
        """
arguments: {parameters: [{name: a, value: "of {{workflow.name}}"}, {name: b, value: x}]}
templates:
- name: main
  container: {image: x, command: [echo, "{{workflow.parameters.a}} {{workflow.parameters.b}}"]}
""",
        parameters={"b": "{{workflow.name}}"},
    )
    assert log(result, "main") == f"of {result.name} {{{{workflow.name}}}}\n"
