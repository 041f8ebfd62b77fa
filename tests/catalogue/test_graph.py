"""From compiled manifests to diagrams, and to Mermaid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from argosy.catalogue.graph import Drawing, Edge, read_drawing, short, sources_of, waits
from argosy.catalogue.mermaid import escaped, to_mermaid
from argosy.cli.graph import graph
from argosy.errors import ManifestError
from argosy.manifest.depends import references
from argosy.manifest.graph import Dependency

# Everything that a drawing can show.
EVERYTHING = """
entrypoint: main
onExit: handler
templates:
- name: main
  dag:
    tasks:
    - {name: train, template: step}
    - {name: check, template: step, depends: train}
    - name: publish
      template: step
      depends: check && train
      when: "{{tasks.check.outputs.parameters.result}} == passed"
    - {name: alarm, template: step, depends: check.Failed}
    - {name: report, template: step, depends: (publish.Succeeded || publish.Skipped)}
    - {name: approve, template: wait, depends: publish}
    - {name: each, template: inner, depends: approve, withParam: "{{tasks.train.outputs.parameters.names}}"}
    - {name: few, template: step, withItems: [a, b]}
    - {name: other, templateRef: {name: team, template: judge}}
- name: inner
  steps:
  - [{name: left, template: step}, {name: right, template: step}]
  - [{name: again, template: inner, when: "{{inputs.parameters.n}} > 0"}]
- {name: handler, steps: [[{name: 'say "it" <b>', template: step, when: "{{workflow.status}} == Failed"}]]}
- {name: step, container: {image: "reg/a/tools:1", resources: {limits: {nvidia.com/gpu: 2}}}}
- {name: wait, suspend: {}}
"""
MERMAID = """\
flowchart TD
  main1["train"]
  main2["check"]
  main3["publish"]
  main4["alarm"]
  main5["report"]
  main6{{"approve<br/>waits for approval"}}
  subgraph main7 ["each, for each of names"]
    main7_1["left"]
    main7_2["right"]
    main7_3(["again<br/>repeats inner<br/>if n #gt; 0"])
    main7_1 --> main7_3
    main7_2 --> main7_3
  end
  main8["few<br/>for each of 2"]
  main9[["other<br/>team / judge"]]
  main1 --> main2
  main2 -->|"result == passed"| main3
  main2 -.->|"failed"| main4
  main3 -.-> main5
  main3 --> main6
  main6 --> main7
  subgraph exit ["on exit"]
    exit1["say #quot;it#quot; #lt;b#gt;<br/>if status == Failed"]
  end
"""


def drawing_of(spec: str) -> Drawing:
    return read_drawing(
        {"kind": "Workflow", "metadata": {"generateName": "all-"}, "spec": yaml.safe_load(spec)}
    )


def test_everything_has_its_sign_in_mermaid() -> None:
    assert to_mermaid(drawing_of(EVERYTHING)) == MERMAID


def test_the_model_says_what_is_inside_of_what() -> None:
    drawing = drawing_of(EVERYTHING)
    nodes = {n.name: n for n in drawing.main.nodes}
    assert drawing.title == "all"
    assert nodes["train"].detail == "tools, 2 GPU"
    assert nodes["approve"].shape == "approval"
    assert nodes["each"].inside is not None
    assert [n.shape for n in nodes["each"].inside.nodes] == ["step", "step", "repeat"]
    assert Edge("train", "publish") not in drawing.main.edges  # implied by train, check, publish
    assert drawing.tints == ("tools",)


def test_a_condition_on_an_earlier_task_keeps_its_edge() -> None:
    spec = """
entrypoint: main
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: s}
    - {name: b, template: s, depends: a}
    - {name: c, template: s, depends: a && b, when: "{{tasks.a.outputs.result}} == yes"}
- {name: s, container: {image: x}}
"""
    assert 'main1 -->|"result == yes"| main3' in to_mermaid(drawing_of(spec))


@pytest.mark.parametrize("kind", ["WorkflowTemplate", "CronWorkflow"])
def test_other_kinds_are_drawn_the_same(kind: str) -> None:
    spec = yaml.safe_load(EVERYTHING)
    wrapped = {"schedules": ["@daily"], "workflowSpec": spec} if kind == "CronWorkflow" else spec
    found = read_drawing({"kind": kind, "metadata": {"name": "all"}, "spec": wrapped})
    assert to_mermaid(found) == MERMAID


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{tasks.promote.outputs.parameters.result}} == passed", "result == passed"),
        (
            "{{tasks.a.outputs.parameters.x}} == 1 && {{tasks.b.outputs.parameters.x}} == 2",
            "a.x == 1 && b.x == 2",
        ),
        ('"{{tasks.a.outputs.parameters.note}}" == "two words"', 'note == "two words"'),
        ("{{workflow.status}} == Failed", "status == Failed"),
        ("{{inputs.parameters.n}} > 0", "n > 0"),
        ("{{item.size}} > 0", "item.size > 0"),
    ],
)
def test_conditions_are_said_in_few_words(text: str, words: str) -> None:
    assert short(text) == words


def test_what_a_condition_looks_at() -> None:
    assert sources_of("{{tasks.a.outputs.result}} == {{steps.b.outputs.result}}") == ("a", "b")
    assert sources_of("{{workflow.status}} == Failed") == ()


@pytest.mark.parametrize(
    ("depends", "ways"),
    [
        ("a", {"a": "success"}),
        ("a.Succeeded && b", {"a": "success", "b": "success"}),
        ("a.Failed || a.Errored", {"a": "failure"}),
        ("(a.Succeeded || a.Skipped || a.Omitted)", {"a": "any"}),
        ("!b.Failed", {"b": "failure"}),
        ("", {}),
    ],
)
def test_how_a_task_waits(depends: str, ways: dict[str, str]) -> None:
    assert waits(Dependency(*one) for one in references(depends)) == ways


@pytest.mark.parametrize("text", ['"', "a#b", "<b>", "&amp;", "`x`", "a\nb", "\\"])
def test_labels_are_escaped(text: str) -> None:
    assert not re.search(r'["<>`\\\n]|&(?!amp)', escaped(text).replace("#amp;", ""))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"spec": {"templates": []}}, "workflow has no entrypoint"),
        ({"spec": {"entrypoint": "main"}}, "there is no template 'main'"),
        ({"spec": 3}, "spec is not a mapping"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(manifest: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_drawing(manifest)


def test_the_command_draws_pipelines_and_manifests(repository: Path, tmp_path: Path) -> None:
    name = "train-model-image-classification"
    file = repository / "pipelines" / "compiled" / f"{name}.yaml"
    texts = {CliRunner().invoke(graph, [w], catch_exceptions=False).output for w in (name, str(file))}
    assert len(texts) == 1
    svg = tmp_path / "a.svg"
    done = CliRunner().invoke(graph, [name, "-o", str(svg)], catch_exceptions=False)
    assert done.exit_code == 0
    assert svg.read_text().startswith("<svg")
