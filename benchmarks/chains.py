"""The same chain of N tasks, said with Argosy and with Hera, each to YAML text."""

from typing import NamedTuple

import hera.workflows as hera

from argosy import compile, component, pipeline
from argosy.emit import to_yaml


class Said(NamedTuple):
    """A text, passed on."""

    text: str


@component(image="python:3.11-slim")
def echo(text: str) -> Said:
    """Pass a text on."""
    return Said(text)


def argosy_chain(tasks: int) -> str:
    """The YAML of a chain in which each task takes the output of the one before."""

    @pipeline(name="chain")
    def chain() -> None:
        said = echo(text="start")
        for _ in range(tasks - 1):
            said = echo(text=said.text)

    return to_yaml(compile(chain))


def hera_chain(tasks: int) -> str:
    """The same, as Hera's documentation writes it: one container template, a DAG, `>>`."""
    with hera.Workflow(generate_name="chain-", entrypoint="main") as workflow:
        template = hera.Container(
            name="echo",
            image="python:3.11-slim",
            command=["python", "-m", "benchmarks.chains"],
            args=["--text={{inputs.parameters.text}}"],
            inputs=[hera.Parameter(name="text")],
            outputs=[hera.Parameter(name="text", value_from=hera.models.ValueFrom(path="/tmp/outputs/text"))],
        )
        with hera.DAG(name="main"):
            before = None
            for number in range(tasks):
                text = before.get_parameter("text") if before else "start"
                task = hera.Task(name=f"echo-{number}", template=template, arguments={"text": text})
                if before is not None:
                    before >> task
                before = task
    return workflow.to_yaml()
