"""What KFP's own SDK says to our files, and what we say to its."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy import load_component
from argosy.declare.template import render_template
from argosy.manifest.emit import to_yaml
from argosy.reuse.kfp_export import kfp_component
from tests.reuse.builtin import ENTRIES
from tests.reuse.test_kfp_export import make

COMPILE_EACH = """
import json, sys
from pathlib import Path
from kfp import compiler, components
found = {}
for file in sorted(Path(sys.argv[1]).glob("*.yaml")):
    loaded = components.load_component_from_file(str(file))
    compiler.Compiler().compile(loaded, str(file) + ".json")
    spec = loaded.component_spec
    ports = spec.inputs.items()
    inputs = {n: {"type": p.type, "optional": p.optional, "default": p.default} for n, p in ports}
    found[file.stem] = {"name": spec.name, "inputs": inputs, "outputs": list(spec.outputs or {})}
print(json.dumps(found))
"""

COMPILE_PIPELINE = """
import sys
from pathlib import Path
from kfp import compiler, components, dsl
load = lambda name: components.load_component_from_text((Path(sys.argv[1]) / f"{name}.yaml").read_text())
fetch, claim, prepare = load("fetch-model"), load("determine-version"), load("prepare-artifacts")

@dsl.pipeline(name="deploy")
def deploy(model_name: str = "m"):
    got = fetch(model_name=model_name)
    version = claim(model_version=got.outputs["model_version"], model_sha256=got.outputs["model_sha256"],
                    owner="me", model_name=model_name)
    prepare(model=got.outputs["model"], metadata=got.outputs["metadata"],
            triton_version=version.outputs["triton_version"])

compiler.Compiler().compile(deploy, sys.argv[2])
"""

CONTAINER_COMPONENT = """
import sys
from typing import Optional
from kfp import compiler, dsl

@dsl.container_component
def trainer(data: dsl.Input[dsl.Dataset], epochs: int,
            model: dsl.Output[dsl.Model], score: dsl.OutputPath(float),
            options: dict = {"a": 1}, note: Optional[str] = None, fast: bool = True):
    return dsl.ContainerSpec(image="python:3.11", command=["python", "-m", "x"], args=[
        data.path, epochs, options, dsl.IfPresentPlaceholder("note", ["--note", note], ["--no-note"]),
        dsl.ConcatPlaceholder(["--fast=", fast]), model.path, score])

compiler.Compiler().compile(trainer, sys.argv[1])
"""


def run(python: Path, program: str, *words: object) -> str:
    command = [str(python), "-W", "ignore", "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of our components, and one that uses every type."""
    folder = tmp_path_factory.mktemp("kfp")
    for name, found in {**ENTRIES, "make": make}.items():
        (folder / f"{name}.yaml").write_text(to_yaml(kfp_component(found)))
    return folder


@pytest.fixture(scope="module")
def known(kfp_python: Path, exported: Path) -> dict[str, Any]:
    """What the SDK understood of each file, after compiling it."""
    found: dict[str, Any] = json.loads(run(kfp_python, COMPILE_EACH, exported))
    return found


@pytest.mark.parametrize("name", [*ENTRIES, "make"])
def test_the_sdk_loads_and_compiles_each(name: str, known: dict[str, Any]) -> None:
    interface = ENTRIES.get(name, make).interface
    found = known[name]
    assert found["name"] == name
    assert list(found["inputs"]) == [p.name for p in interface.inputs]
    assert found["outputs"] == [p.name for p in interface.outputs]
    for port in interface.inputs:
        seen = found["inputs"][port.name]
        assert seen["optional"] is (not port.required)
        if not port.required:
            assert seen["default"] == port.default


def test_the_sdk_sees_our_types(known: dict[str, Any]) -> None:
    assert {n: p["type"] for n, p in known["make"]["inputs"].items()} == {
        "data": "system.Artifact@0.0.1",
        "epochs": "Integer",
        "sizes": "List",
        "options": "Dict",
        "fast": "Boolean",
        "empty": "String",
    }


def test_the_sdk_composes_them_to_a_pipeline(kfp_python: Path, exported: Path, tmp_path: Path) -> None:
    run(kfp_python, COMPILE_PIPELINE, exported, tmp_path / "pipeline.yaml")
    spec = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks["prepare-artifacts"]["dependentTasks"]) == {"determine-version", "fetch-model"}
    container = spec["deploymentSpec"]["executors"]["exec-determine-version"]["container"]
    assert container["command"] == ["python", "-m", "argosy.components.deployment.determine_version"]
    assert '{"IfPresent": {"InputName": "force_version"' in container["args"][6]


def test_we_load_what_the_sdk_compiles(kfp_python: Path, tmp_path: Path) -> None:
    run(kfp_python, CONTAINER_COMPONENT, tmp_path / "trainer.yaml")
    loaded = load_component(tmp_path / "trainer.yaml")
    assert {p.name for p in loaded.interface.inputs if p.required} == {"data", "epochs"}
    assert [str(p.type) for p in loaded.interface.outputs] == ["float", "artifact"]
    args = render_template(loaded.for_call((), {"data": "d", "epochs": 1}), "x")["container"]["args"]
    assert args == [
        "{{inputs.artifacts.data.path}}",
        "{{inputs.parameters.epochs}}",
        "{{inputs.parameters.options}}",
        "--no-note",
        "--fast={{inputs.parameters.fast}}",
        "{{outputs.artifacts.model.path}}",
        "{{outputs.parameters.score.path}}",
    ]
