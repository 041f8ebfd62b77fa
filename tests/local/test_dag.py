"""DAGs: data from task to task, branches, failures."""

from __future__ import annotations

import itertools

from argosy.local.node import parse_time
from tests.local.conftest import Run, log, node, phases


def test_parameters_files_and_folders_travel(run: Run) -> None:
    result = run("""
arguments: {parameters: [{name: word, value: hello}]}
templates:
- name: main
  inputs: {parameters: [{name: word}]}
  outputs:
    parameters: [{name: size, valueFrom: {parameter: "{{tasks.use.outputs.parameters.size}}"}}]
    artifacts: [{name: copy, from: "{{tasks.use.outputs.artifacts.copy}}"}]
  dag:
    tasks:
    - name: make
      template: make
      arguments: {parameters: [{name: word, value: "{{inputs.parameters.word}}"}]}
    - name: use
      depends: make
      template: use
      arguments:
        parameters: [{name: text, value: "{{tasks.make.outputs.parameters.text}}"}]
        artifacts:
        - {name: file, from: "{{tasks.make.outputs.artifacts.file}}"}
        - {name: folder, from: "{{tasks.make.outputs.artifacts.folder}}"}
        - {name: raw, raw: {data: "of {{inputs.parameters.word}}"}}
- name: make
  inputs: {parameters: [{name: word}, {name: mark, value: "!"}]}
  outputs:
    parameters: [{name: text, valueFrom: {path: /tmp/outputs/text}}]
    artifacts: [{name: file, path: /tmp/outputs/file.txt}, {name: folder, path: /tmp/outputs/folder}]
  script:
    image: x
    command: [sh]
    source: |
      echo "{{inputs.parameters.word}}{{inputs.parameters.mark}}" > /tmp/outputs/text
      echo content > "{{outputs.artifacts.file.path}}"
      mkdir -p /tmp/outputs/folder/deep && echo inner > /tmp/outputs/folder/deep/x
- name: use
  inputs:
    parameters: [{name: text}]
    artifacts: [{name: file, path: /in/renamed}, {name: folder, path: /in/folder}, {name: raw, path: /in/raw}]
  outputs:
    parameters: [{name: size, valueFrom: {path: size}}]
    artifacts: [{name: copy, path: /out/copy}]
  container:
    image: x
    command: [sh, -c]
    args:
    - |
      cat /in/renamed /in/folder/deep/x /in/raw > /out/copy
      echo >> /in/renamed
      wc -c < /in/raw > size
""")
    assert phases(result) == {"make": "Succeeded", "use": "Succeeded"}
    assert node(result, "use").inputs.parameters == {"text": "hello!"}
    assert result.outputs.parameters == {"size": "8"}
    assert (result.run_dir / result.outputs.artifacts["copy"]).read_text() == "content\ninner\nof hello"
    kept = result.run_dir / node(result, "make").outputs.artifacts["file"]
    assert kept.read_text() == "content\n"  # what a consumer does to its copy stays there


def test_tasks_run_side_by_side(run: Run) -> None:
    """Each waits for a file that the other writes: alone, neither would end."""
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: meet, arguments: {parameters: [{name: mine, value: a}, {name: other, value: b}]}}
    - {name: b, template: meet, arguments: {parameters: [{name: mine, value: b}, {name: other, value: a}]}}
- name: meet
  activeDeadlineSeconds: 60
  inputs: {parameters: [{name: mine}, {name: other}]}
  container:
    image: x
    command: [sh, -c]
    args:
    - |
      cd ../../..
      touch '{{inputs.parameters.mine}}'
      until test -e '{{inputs.parameters.other}}'; do sleep 0.05; done
""")
    assert phases(result) == {"a": "Succeeded", "b": "Succeeded"}


def test_parallelism_one_runs_them_in_turn(run: Run) -> None:
    result = run("""
parallelism: 1
templates:
- name: main
  dag: {tasks: [{name: a, template: t}, {name: b, template: t}, {name: c, template: t}]}
- {name: t, container: {image: x, command: [sleep, "0.1"]}}
""")
    times = sorted((parse_time(n.started_at or ""), parse_time(n.finished_at or "")) for n in result.nodes)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


def test_a_false_when_skips_and_what_needs_it_is_omitted(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: gate, template: gate}
    - {name: accepted, template: ok, depends: gate, when: "{{tasks.gate.outputs.parameters.r}} == passed"}
    - {name: refused, template: ok, depends: gate, when: "{{tasks.gate.outputs.parameters.r}} == failed"}
    - {name: after-yes, template: ok, depends: accepted.Succeeded}
    - {name: after-no, template: ok, depends: refused.Succeeded}
    - {name: after-that, template: ok, depends: after-no}
    - {name: bare, template: ok, depends: refused}
- name: gate
  outputs: {parameters: [{name: r, valueFrom: {path: /tmp/result}}]}
  container: {image: x, command: [sh, -c, "echo passed > /tmp/result"]}
""")
    assert result.succeeded
    assert phases(result) == {
        "gate": "Succeeded", "accepted": "Succeeded", "refused": "Skipped", "after-yes": "Succeeded",
        "after-no": "Omitted", "after-that": "Omitted", "bare": "Succeeded",
    }  # fmt: skip
    assert "passed == failed" in node(result, "refused").message


def test_a_when_that_cannot_be_read_is_an_error_of_its_node(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: empty, template: empty}
    - {name: next, template: ok, depends: empty, when: "{{tasks.empty.outputs.parameters.r}} == passed"}
- name: empty
  outputs: {parameters: [{name: r, valueFrom: {path: /tmp/r}}]}
  container: {image: x, command: [touch, /tmp/r]}
""")
    assert phases(result)["next"] == "Error"
    assert "cannot read when ' == passed'" in node(result, "next").message
    assert result.phase.value == "Error"


def test_targets_run_only_what_they_need(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    target: b
    tasks: [{name: a, template: ok}, {name: b, template: ok, depends: a}, {name: c, template: ok}]
""")
    assert phases(result) == {"a": "Succeeded", "b": "Succeeded"}


def test_a_skipped_tasks_output_leaves_the_default_of_its_consumer(run: Run) -> None:
    result = run("""
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: echo, when: "1 == 2"}
    - name: b
      depends: a
      template: echo
      arguments: {parameters: [{name: m, value: "{{tasks.a.outputs.parameters.out}}"}]}
""")
    assert log(result, "b") == "nothing\n"
