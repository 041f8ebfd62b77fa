"""Chains and fan-outs of N tasks, said with Argosy, with Hera and with Couler alone, each to YAML text."""

from collections.abc import Callable
from typing import NamedTuple

import couler.argo as couler
import hera.workflows as hera
import pyaml

from argosy import compile, component, pipeline
from argosy.manifest.emit import to_yaml


class Said(NamedTuple):
    """A text, passed on."""

    text: str


@component(image="python:3.11-slim")
def echo(text: str) -> Said:
    """Pass a text on."""
    return Said(text)


def argosy_chain(tasks: int) -> str:
    """Each task takes the output of the one before."""

    @pipeline(name="chain")
    def chain() -> None:
        said = echo(text="start")
        for _ in range(tasks - 1):
            said = echo(text=said.text)

    return to_yaml(compile(chain))


def argosy_fan_out(tasks: int) -> str:
    """All tasks take the output of the first."""

    @pipeline(name="fan-out")
    def fan_out() -> None:
        first = echo(text="start")
        for _ in range(tasks - 1):
            echo(text=first.text)

    return to_yaml(compile(fan_out))


def _hera_template() -> hera.Container:
    return hera.Container(
        name="echo",
        image="python:3.11-slim",
        command=["python", "-m", "argosy.step", "benchmarks.chains:echo"],
        args=["--text={{inputs.parameters.text}}", "--output-text={{outputs.parameters.text.path}}"],
        inputs=[hera.Parameter(name="text")],
        outputs=[hera.Parameter(name="text", value_from=hera.models.ValueFrom(path="/tmp/outputs/text"))],
    )


def _hera(tasks: int, source: Callable[[list[hera.Task]], hera.Task]) -> str:
    """As Hera's documentation writes it: one container template, a DAG, `>>`."""
    with hera.Workflow(generate_name="chain-", entrypoint="main") as workflow:
        template = _hera_template()
        with hera.DAG(name="main"):
            made: list[hera.Task] = []
            for number in range(tasks):
                text = source(made).get_parameter("text") if made else "start"
                task = hera.Task(name=f"echo-{number}", template=template, arguments={"text": text})
                if made:
                    source(made) >> task
                made.append(task)
    return str(workflow.to_yaml())


def hera_chain(tasks: int) -> str:
    """The chain with Hera."""
    return _hera(tasks, lambda made: made[-1])


def hera_fan_out(tasks: int) -> str:
    """The fan-out with Hera."""
    return _hera(tasks, lambda made: made[0])


def couler_chain(tasks: int) -> str:
    """The chain with Couler alone, in its DAG mode and with its own serialiser."""
    couler._cleanup()
    couler.workflow.enable_dag_mode()
    for number in range(tasks):
        couler.set_dependencies(
            lambda number=number: couler.run_container(  # type: ignore[misc]
                image="python:3.11-slim", command=["echo"], args=["text"], step_name=f"echo-{number}"
            ),
            dependencies=[f"echo-{number - 1}"] if number else None,
        )
    text = pyaml.dump(couler.workflow_yaml())
    couler._cleanup()
    return str(text)
