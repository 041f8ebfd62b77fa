"""KFP's component.yaml, version 1 and 2, as components of ours."""

from pathlib import Path
from typing import Any

import pytest

from argosy import load_component
from argosy.declare.template import render_template
from argosy.errors import DeclarationError, UsageError
from argosy.reuse.loaded import LoadedComponent
from argosy.step.interface import REQUIRED, ArtifactKind
from argosy.step.values import ValueType

V1 = """\
name: Train a model
description: |
  Train it.

  For as long as it takes.
inputs:
- {name: Data, type: Dataset}
- {name: Epochs, type: Integer, default: '3', description: how often}
- {name: rate, type: Float, optional: true}
- {name: note}
outputs:
- {name: Model, type: Model}
- {name: score, type: Float}
implementation:
  container:
    image: example/train:1
    command: [python, -m, train]
    args:
    - --data
    - {inputPath: Data}
    - concat: [--epochs=, {inputValue: Epochs}]
    - if: {cond: {isPresent: rate}, then: [--rate, {inputValue: rate}], else: [--default-rate]}
    - {inputValue: note}
    - --model
    - {outputPath: Model}
    - {outputPath: score}
    env: {MODE: fast, NOTE: {inputValue: note}}
"""

V2 = """\
components:
  comp-train:
    executorLabel: exec-train
    inputDefinitions:
      artifacts:
        data: {artifactType: {schemaTitle: system.Dataset, schemaVersion: 0.0.1}}
      parameters:
        epochs: {parameterType: NUMBER_INTEGER, defaultValue: 3.0, isOptional: true}
        rate: {parameterType: NUMBER_DOUBLE, isOptional: true}
        options: {parameterType: STRUCT, defaultValue: {a: 1.0}, isOptional: true}
    outputDefinitions:
      artifacts:
        model: {artifactType: {schemaTitle: system.Model, schemaVersion: 0.0.1}}
      parameters:
        score: {parameterType: NUMBER_DOUBLE}
deploymentSpec:
  executors:
    exec-train:
      container:
        image: example/train:2
        command: [python, -m, train]
        args:
        - "--data={{$.inputs.artifacts['data'].path}}"
        - "{{$.inputs.artifacts[\\"data\\"].uri}}"
        - "{{$.inputs.parameters['epochs']}}"
        - '{"IfPresent": {"InputName": "rate", "Then": ["--rate", "{{$.inputs.parameters[''rate'']}}"]}}'
        - '{"Concat": ["--options=", "{{$.inputs.parameters[''options'']}}"]}'
        - "{{$.outputs.artifacts['model'].path}}"
        - "{{$.outputs.parameters['score'].output_file}}"
        - "{{$.pipeline_job_name}}"
        env:
        - {name: MODE, value: fast}
        resources: {resourceCpuRequest: 500m, resourceCpuLimit: '2', memoryLimit: 1.5,
                    accelerator: {count: 1, type: nvidia.com/gpu}}
pipelineInfo: {name: train, description: Train it.}
root: {dag: {tasks: {train: {}}}}
schemaVersion: 2.1.0
"""


def rendered(component: LoadedComponent, **given: Any) -> dict[str, Any]:
    return render_template(component.for_call((), given), "x")


def test_v1_gives_typed_ports() -> None:
    interface = load_component(V1).interface
    assert (interface.name, interface.summary) == ("train-a-model", "Train it.")
    assert interface.description == "For as long as it takes."
    assert [(p.name, p.type, p.default) for p in interface.inputs] == [
        ("data", ArtifactKind("any"), REQUIRED),
        ("epochs", ValueType(int), 3),
        ("rate", ValueType(float, optional=True), None),
        ("note", ValueType(str), REQUIRED),
    ]
    assert [(p.name, p.type) for p in interface.outputs] == [
        ("model", ArtifactKind("any")),
        ("score", ValueType(float)),
    ]


def test_v1_gives_the_command_line_of_a_call() -> None:
    component = load_component(V1)
    container = rendered(component, data="d", note="n")["container"]
    assert container["command"] == ["python", "-m", "train"]
    assert container["args"] == [
        "--data",
        "{{inputs.artifacts.data.path}}",
        "--epochs={{inputs.parameters.epochs}}",
        "--default-rate",
        "{{inputs.parameters.note}}",
        "--model",
        "{{outputs.artifacts.model.path}}",
        "{{outputs.parameters.score.path}}",
    ]
    assert {"name": "NOTE", "value": "{{inputs.parameters.note}}"} in container["env"]
    present = rendered(component, data="d", note="n", rate=0.1)["container"]["args"]
    assert present[3:5] == ["--rate", "{{inputs.parameters.rate}}"]


def test_v2_gives_the_same_kind_of_component() -> None:
    component = load_component(V2)
    assert {p.name: p.default for p in component.interface.inputs} == {
        "data": REQUIRED,
        "epochs": 3,
        "rate": None,
        "options": {"a": 1.0},
    }
    container = rendered(component, data="d")["container"]
    assert container["args"] == [
        "--data={{inputs.artifacts.data.path}}",
        "{{inputs.artifacts.data.path}}",
        "{{inputs.parameters.epochs}}",
        "--options={{inputs.parameters.options}}",
        "{{outputs.artifacts.model.path}}",
        "{{outputs.parameters.score.path}}",
        "{{workflow.name}}",
    ]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1.5G"},
        "limits": {"cpu": "2", "memory": "1.5G", "nvidia.com/gpu": "1"},
    }


def test_a_file_may_have_a_name_of_ours_and_fixed_places(tmp_path: Path) -> None:
    file = tmp_path / "made-elsewhere.yaml"
    file.write_text(
        "outputs: [{name: sum, type: Integer}]\n"
        "implementation: {container: {image: a, fileOutputs: {sum: /data/sum.txt}}}\n"
    )
    template = rendered(load_component(file))
    assert template["outputs"]["parameters"] == [{"name": "sum", "valueFrom": {"path": "/data/sum.txt"}}]
    assert "command" not in template["container"]  # the image's own entry point
    assert load_component(str(file)).interface.name == "made-elsewhere"
    assert load_component(file, name="adder").interface.name == "adder"


def test_an_optional_artifact_is_optional_in_argo() -> None:
    text = (
        "inputs: [{name: extra, type: Dataset, optional: true}]\n"
        "implementation:\n  container:\n    image: a\n"
        "    args: [{if: {cond: {isPresent: extra}, then: [{inputPath: extra}]}}]\n"
    )
    template = rendered(load_component(text))
    assert template["inputs"]["artifacts"] == [
        {"name": "extra", "path": "/tmp/inputs/extra", "optional": True}
    ]
    assert "args" not in template["container"]


def test_outside_of_a_pipeline_there_is_nothing_to_call() -> None:
    with pytest.raises(UsageError, match=r"train-a-model.* has no Python function"):
        load_component(V1)(data="x")


def v1(args: str = "[]", inputs: str = "[]", more: str = "") -> str:
    head = f"name: c\ninputs: {inputs}\noutputs: []\n{more}"
    return head + f"implementation:\n  container:\n    image: a\n    args: {args}\n"


REFUSED = [
    ("name: c\nx: {", "<text>:2: not YAML"),
    ("- 1\n- 2\n", "is not a mapping"),
    ("name: c\nother: 1\n", "is no KFP component"),
    ("kind: WorkflowTemplate\nmetadata: {}\n", "read with argosy.load_library"),
    ("name: c\nimplementation:\n  graph: {}\n", "<text>:3: is a graph of components"),
    ("name: c\nimplementation: {}\n", "has no implementation.container"),
    ("name: c\nimplementation:\n  container: {image: ''}\n", "<text>:3: image '' is not the name"),
    (
        v1("[{inputValue: nope}]", "[{name: note}]"),
        "<text>:7: there is no input 'nope'; did you mean 'note'?",
    ),
    (v1("[{outputPath: nope}]"), "there is no output 'nope'"),
    (v1("[{executorInput: null}]"), "'executorInput' cannot be carried over"),
    (v1("[{whatever: x}]"), "'whatever' cannot be carried over: it is not a placeholder"),
    (v1("[{inputPath: n}]", "[{name: n, type: Integer}]"), "is of type int, a parameter"),
    (v1("[{inputValue: n}]", "[{name: n, type: Model}]"), "is an artifact; its inputValue is not known"),
    (v1("['{{inputs.parameters.x}}']"), "Argo would read {{inputs.parameters.x}} as a reference"),
    (v1("[{if: {cond: true, then: [a]}}]"), "'if' can only ask whether an input isPresent"),
    (v1(inputs="[{name: n, type: Integer, default: many}]"), "<text>:2: input 'n': 'many' is not a whole"),
    (v1(inputs="[{name: a b}, {name: a-b}]"), "'a b' and 'a-b' are both 'a_b'"),
    (v1(inputs="[{type: Integer}]"), "an input has no name"),
    (v1(inputs="{a: 1}"), "'inputs' is not a list"),
    (v1(inputs="[1]"), "an entry of 'inputs' is not a mapping"),
    (V2.replace("$.pipeline_job_name", "$"), "is a lightweight Python component"),
    (V2.replace("$.pipeline_job_name", "$.inputs.artifacts['data'].metadata"), "only KFP's own runtime"),
    (V2.replace("inputs.parameters['epochs']", "inputs.parameters['epoch']"), "did you mean 'epochs'"),
    (V2.replace("NUMBER_INTEGER", "TASK_FINAL_STATUS"), "is of type TASK_FINAL_STATUS"),
    (
        V2.replace(
            "artifactType: {schemaTitle: system.D",
            "isArtifactList: true, artifactType: {schemaTitle: system.D",
        ),
        "is a list of artifacts",
    ),
    (V2.replace("executorLabel: exec-train", "dag: {}"), "is a pipeline"),
    (V2.replace("executorLabel: exec-train", "executorLabel: exec-other"), "no executor 'exec-other'"),
    (V2.replace("      container:\n", "      importer:\n"), "is 'importer'; a container is wanted"),
    (V2 + "---\nplatforms: {kubernetes: {}}\n", "'platforms' cannot be carried over"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_what_cannot_be_carried_over_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        load_component(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_url_and_a_missing_file_are_named() -> None:
    with pytest.raises(DeclarationError, match="is a URL; download"):
        load_component("https://example.com/component.yaml")
    with pytest.raises(DeclarationError, match=r"cannot read 'nowhere\.yaml': No such file"):
        load_component("nowhere.yaml")
