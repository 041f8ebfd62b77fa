"""The three pipelines in the shape that they have here, said with KFP; run by a Python that has kfp.

Eleven container components with the same inputs and outputs of text, the same edges and the same two
conditions. Writes three YAML files into the folder that is its argument.
"""

import sys
from pathlib import Path

from kfp import compiler, dsl

IMAGE = "registry.example/tools:1"
_STEP = """
@dsl.container_component
def {name}({inputs}, result: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image=IMAGE, command=["python", "-m", "steps.{name}"], args=[{args}, result])
"""
# Name: how many inputs.
STEPS = {
    "train": 7,
    "promote": 5,
    "export_to_onnx": 4,
    "validate_onnx": 6,
    "fetch_model": 3,
    "determine_version": 7,
    "prepare_artifacts": 5,
    "upload_to_s3": 6,
    "reload_triton": 5,
    "update_aliases": 4,
    "verify_deployment": 5,
}
for _name, _count in STEPS.items():
    _ports = [f"i{n}" for n in range(_count)]
    exec(_STEP.format(name=_name, inputs=", ".join(f"{p}: str" for p in _ports), args=", ".join(_ports)))


def call(name: str, source: object) -> dsl.PipelineTask:
    """A task of a step; its first input is `source`, the others are constants."""
    rest = {f"i{n}": "text" for n in range(1, STEPS[name])}
    return globals()[name](i0=source, **rest)


def training(name: str) -> dsl.PipelineTask:
    """The first two steps of training."""
    return call("promote", call("train", name).output)


def deployment(source: object) -> None:
    """The seven steps of deployment."""
    for name in list(STEPS)[4:9]:
        source = call(name, source).output
    call("update_aliases", source)
    call("verify_deployment", source)


@dsl.pipeline(name="train-model")
def train_model(name: str = "resnet18") -> None:
    """Training."""
    gate = training(name)
    with dsl.If(gate.output == "passed"):
        call("validate_onnx", call("export_to_onnx", gate.output).output)


@dsl.pipeline(name="deploy-model")
def deploy_model(name: str = "resnet18") -> None:
    """Deployment."""
    deployment(name)


@dsl.pipeline(name="both")
def both(name: str = "resnet18") -> None:
    """Training, then deployment."""
    gate = training(name)
    with dsl.If(gate.output == "passed"):
        check = call("validate_onnx", call("export_to_onnx", gate.output).output)
        with dsl.If(check.output == "passed"):
            deployment(check.output)


if __name__ == "__main__":
    for function, name in ((train_model, "train"), (deploy_model, "deploy"), (both, "both")):
        compiler.Compiler().compile(function, str(Path(sys.argv[1]) / f"{name}.yaml"))
