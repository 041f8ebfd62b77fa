"""Outputs of a pipeline, for whoever calls it by `templateRef`."""

from typing import NamedTuple

import couler.argo as couler
import pytest

from argosy import File, compile, pipeline
from argosy.errors import ComposeError, DeclarationError, UsageError
from tests.compose.steps import gate, make, notify


class Result(NamedTuple):
    """What comes out."""

    number: int
    model: File
    verdict: str = "none"


@pipeline()
def inner(name: str = "m") -> Result:
    """Make, and judge what was made."""
    made = make(name=name)
    verdicts = []
    couler.when(couler.bigger(made.number, 1), lambda: verdicts.append(gate(number=made.number)))
    return Result(made.number, made.model, verdicts[0].note)


def test_outputs_are_those_of_tasks_with_defaults_for_what_did_not_run() -> None:
    assert compile(inner)["spec"]["templates"][0]["outputs"] == {
        "parameters": [
            {"name": "number", "valueFrom": {"parameter": "{{tasks.make.outputs.parameters.number}}"}},
            {
                "name": "verdict",
                "valueFrom": {"parameter": "{{tasks.gate.outputs.parameters.note}}", "default": "none"},
            },
        ],
        "artifacts": [{"name": "model", "from": "{{tasks.make.outputs.artifacts.model}}"}],
    }


def test_a_pipeline_called_by_reference_is_one_task_with_its_outputs() -> None:
    @pipeline()
    def outer() -> None:
        """Call the other."""
        notify(text=inner.by_reference(name="x").verdict)

    first, second = compile(outer)["spec"]["templates"][0]["dag"]["tasks"]
    assert first["templateRef"] == {"name": "inner", "template": "main"}
    assert first["arguments"] == {"parameters": [{"name": "name", "value": "x"}]}
    assert second["arguments"]["parameters"][0]["value"] == "{{tasks.inner.outputs.parameters.verdict}}"


def test_a_pipeline_called_inline_becomes_part_of_the_other() -> None:
    @pipeline()
    def outer() -> None:
        """Take the other in."""
        notify(text=inner(name="x").verdict)

    names = [t["name"] for t in compile(outer)["spec"]["templates"][0]["dag"]["tasks"]]
    assert names == ["make", "gate", "notify"]


def test_outputs_that_no_step_has_are_refused() -> None:
    @pipeline()
    def wrong() -> Result:
        """Return a constant."""
        made = make()
        return Result(3, made.model, "x")

    place = r"test_pipeline_outputs\.py:\d+: wrong\(\): its output 'number' is not the output of a step"
    with pytest.raises(ComposeError, match=place + r"; return Result\(number=step.output\)"):
        compile(wrong)

    @pipeline()
    def whole() -> Result:
        """Return a step in place of its outputs."""
        return make()  # type: ignore[return-value]

    with pytest.raises(ComposeError, match=r"whole\(\): its output 'verdict' is not the output of a step"):
        compile(whole)


def test_a_pipelines_output_without_a_name_is_refused() -> None:
    def bare() -> int:
        raise NotImplementedError

    with pytest.raises(
        DeclarationError, match=r"bare\(\): returns int; a pipeline's outputs have names: declare a"
    ):
        pipeline()(bare)


def test_a_reference_is_not_run() -> None:
    with pytest.raises(UsageError, match="a cluster runs"):
        inner.by_reference(name="x")
