"""A manual approval in a pipeline, and how outputs are kept."""

from typing import Annotated, NamedTuple

import couler.argo as couler
import pytest

from argosy import File, Stored, approval, compile, component, pipeline
from argosy.declare.template import render_template
from argosy.errors import ComposeError, DeclarationError, UsageError


class Made(NamedTuple):
    """A file."""

    model: Annotated[File, "model.onnx", Stored(archive=False, key="{{workflow.uid}}/m", global_name="made")]


@component(image="example/steps:1")
def make() -> Made:
    """Make a file."""
    raise NotImplementedError


@component(image="example/steps:1")
def deploy(model: File) -> None:
    """Use it."""


def test_what_follows_waits_for_the_approval() -> None:
    @pipeline()
    def guarded() -> None:
        """Ask before deploying."""
        made = make()
        ask = couler.set_dependencies(lambda: approval(timeout=3600)(), dependencies=[made])
        couler.set_dependencies(lambda: deploy(model=made.model), dependencies=[ask])

    templates = compile(guarded)["spec"]["templates"]
    tasks = {t["name"]: t for t in templates[0]["dag"]["tasks"]}
    assert tasks["approve"] == {"name": "approve", "template": "approve", "depends": "make"}
    assert tasks["deploy"]["depends"] == "make && approve"
    assert {"name": "approve", "suspend": {"duration": "3600"}} in templates


def test_an_approval_is_not_run_and_has_a_sensible_timeout() -> None:
    with pytest.raises(UsageError, match="cannot be run"):
        approval()()
    with pytest.raises(DeclarationError, match="timeout 0"):
        approval(timeout=0)


def test_an_approval_that_is_never_called_is_refused() -> None:
    @pipeline()
    def unguarded() -> None:
        """Forget the second pair of parentheses."""
        approval("review").options(name="again")
        make()

    with pytest.raises(
        ComposeError, match=r"test_approval\.py:\d+: the approval 'review' is made, and never called"
    ):
        compile(unguarded)


def test_an_approval_under_another_name_still_waits() -> None:
    @pipeline()
    def guarded() -> None:
        """Ask twice."""
        approval(timeout=60)()
        approval(timeout=60).options(name="again")()

    templates = compile(guarded)["spec"]["templates"]
    names = {task["name"]: task["template"] for task in templates[0]["dag"]["tasks"]}
    assert names == {"approve": "approve", "again": "approve"}
    with pytest.raises(DeclarationError, match=r"test_approval.py:[0-9]+: .*waits: it has no container"):
        approval().options(timeout=3)


def test_an_output_says_how_it_is_kept() -> None:
    rendered = render_template(make, "make")["outputs"]["artifacts"]
    assert rendered == [
        {
            "name": "model",
            "path": "/tmp/outputs/model.onnx",
            "archive": {"none": {}},
            "s3": {"key": "{{workflow.uid}}/m"},
            "globalName": "made",
        }
    ]


def test_a_parameter_is_not_kept() -> None:
    with pytest.raises(DeclarationError, match="'text' is no artifact"):

        @component(image="example/steps:1")
        def wrong(text: Annotated[str, Stored()]) -> None:
            """Wrong."""
