"""Parameter groups: what a pipeline takes together, and a workflow has one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from argosy import Outputs, component, pipeline
from argosy.compose.compiler import compile
from argosy.errors import ComposeError, DeclarationError


class Training(NamedTuple):
    """How a network is trained.

    Attributes:
        model_name: Name in the registry.
        epochs: Passes over the data; empty takes the recipe's.
    """

    model_name: str
    epochs: int | None = None
    config: dict[str, Any] = {}  # noqa: RUF012 - a declaration


@dataclass
class Serving:
    """Where it is served."""

    triton_url: str = "http://triton:8000"
    shape: list[int] = field(default_factory=lambda: [1, 3])


class Nested(NamedTuple):
    """A group in a group."""

    serving: Serving = Serving()


@component(image="python:3.11-slim")
def fit(model_name: str, epochs: int | None = None, config: dict[str, Any] | None = None) -> Outputs(run=str):  # type: ignore[valid-type]
    """Fit."""
    return Outputs(run=model_name)


@component(image="python:3.11-slim")
def serve(run: str, triton_url: str, shape: list[int]) -> None:
    """Serve."""


@pipeline
def grouped(training: Training, keep: int = 3, serving: Serving = Serving(shape=[2])) -> None:  # noqa: B008
    """Train and serve.

    Args:
        keep: How many stay.
    """
    done = fit(model_name=training.model_name, epochs=training.epochs, config=training.config)
    serve(run=done.run, triton_url=serving.triton_url, shape=serving.shape)


@pipeline(name="grouped")
def flat(
    model_name: str,
    epochs: int | None = None,
    config: dict[str, Any] = {},  # noqa: B006
    keep: int = 3,
    triton_url: str = "http://triton:8000",
    shape: list[int] = [2],  # noqa: B006
) -> None:
    """Train and serve.

    Args:
        model_name: Name in the registry.
        epochs: Passes over the data; empty takes the recipe's.
        keep: How many stay.
    """
    done = fit(model_name=model_name, epochs=epochs, config=config)
    serve(run=done.run, triton_url=triton_url, shape=shape)


def test_a_group_is_the_flat_parameters_in_their_order() -> None:
    assert grouped.interface == flat.interface
    assert compile(grouped, "WorkflowTemplate") == compile(flat, "WorkflowTemplate")


def test_a_pipeline_within_another_takes_the_group() -> None:
    @pipeline
    def outer(model_name: str = "m") -> None:
        grouped(Training(model_name, config={"lr": 0.1}))

    tasks = compile(outer)["spec"]["templates"][0]["dag"]["tasks"]
    given = {p["name"]: p["value"] for p in tasks[0]["arguments"]["parameters"]}
    assert given["model-name"] == "{{inputs.parameters.model-name}}"
    assert given["config"] == '{"lr": 0.1}'


def arguments_of(program: Any) -> dict[str, str]:
    """What the only task of a program is given."""
    (task,) = compile(pipeline(name="outer")(program))["spec"]["templates"][0]["dag"]["tasks"]
    return {p["name"]: p["value"] for p in task["arguments"]["parameters"]}


def test_by_reference_takes_groups_and_single_parameters() -> None:
    whole = {"model-name": "m", "epochs": "", "config": "{}", "triton-url": "t", "shape": "[1]"}
    assert arguments_of(lambda: grouped.by_reference(Training("m"), serving=Serving("t", [1]))) == whole
    single: Any = grouped.by_reference
    assert arguments_of(lambda: single(model_name="m", shape=[4], keep=1)) == {
        "model-name": "m",
        "shape": "[4]",
        "keep": "1",
    }


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda step: step(training="m"), r"grouped\(\): 'training' is a Training, not 'm'"),
        (
            lambda step: step(Training("m"), model_name="n"),
            "'model_name' is given twice: by itself and in a group",
        ),
        (lambda step: step(Training("m"), 3, Serving(), 4), r"grouped\(\) takes 6 inputs|two values"),
        (lambda step: step(Training("m"), serving=Training("n")), "'serving' is a Serving, not Training"),
        (lambda step: step(modelname="m"), "undeclared input 'modelname'; did you mean 'model_name'"),
        (lambda step: step(keep=1), "misses the input 'model_name'"),
    ],
)
def test_wrong_calls_by_reference_are_refused_on_their_line(call: Any, problem: str) -> None:
    with pytest.raises(ComposeError, match=f"test_groups.py:[0-9]+: .*({problem})"):
        arguments_of(lambda: call(grouped.by_reference))


def nested(group: Nested) -> None:
    """Nested."""


def twice(model_name: str, training: Training) -> None:
    """One name in two places."""


def not_one(training: Training = 3) -> None:  # type: ignore[assignment]
    """A default of another type."""


@dataclass
class Computed:
    """A field that cannot be given."""

    total: int = field(init=False, default=0)


def computed(group: Computed) -> None:
    """Computed."""


class Untravelled(NamedTuple):
    """A field of a type that is no parameter."""

    data: bytes = b""


def untravelled(group: Untravelled) -> None:
    """Bytes."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (nested, "the group 'group' holds the group 'serving'; take each by itself"),
        (twice, "the parameter 'model-name' comes from two places"),
        (not_one, "the group 'training': its default is 3, and no Training"),
        (computed, r"the group 'group': its field 'total' cannot be given \(init=False\)"),
        (untravelled, "'data' is bytes"),
    ],
)
def test_a_group_that_cannot_be_is_refused_where_it_is_declared(function: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=rf"test_groups.py:[0-9]+: {function.__name__}\(\): {problem}"):
        pipeline(function)


def test_a_step_takes_no_group() -> None:
    def step(serving: Serving) -> None:
        """Step."""

    with pytest.raises(DeclarationError, match=r"step\(\): 'serving': Serving cannot travel as a parameter"):
        component(image="python:3.11-slim")(step)
