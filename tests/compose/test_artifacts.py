"""Artifacts that may be missing: `File | None` in Python, `optional: true` in Argo, None in the step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import couler.argo as couler
import pytest

import argosy
from argosy import Directory, File, component, pipeline
from argosy.declare.signature import read_interface
from argosy.errors import ComposeError, DeclarationError
from argosy.lint import lint_manifest
from argosy.local import NullReporter, run_manifest


class Made(NamedTuple):
    report: File | None
    sure: File


@component(image="example/steps:1")
def make(report: bool) -> Made:
    """Make a file, or none."""
    Path("r").write_text("the report")
    return Made(Path("r") if report else None, Path("r"))


@component(image="example/steps:1")
def read(report: File | None = None, more: Annotated[Directory | None, "m"] = None) -> str:
    """Read what is there."""
    return f"{report.read_text() if report else 'nothing'}, {more}"


@component(image="example/steps:1")
def must(report: File) -> None:
    """Take a file."""


@pipeline
def chain(report: bool = False) -> None:
    """One reads what the other may have made."""
    made = make(report=report)
    read(report=made.report, more=None)


@pipeline
def in_a_loop(report: bool = False) -> None:
    """Also where the reading is a loop's body."""
    made = make(report=report)

    def body(n: Any) -> Any:
        first = read(report=made.report)
        return couler.set_dependencies(lambda: must(report=made.sure), dependencies=[str(first)])

    couler.map(body, [1, 2])


@pipeline
def needs_it() -> None:
    """One needs what the other may not make."""
    must(report=make(report=True).report)  # type: ignore[arg-type]  # a type checker sees it, too


def templates(manifest: dict[str, Any]) -> dict[str, Any]:
    return {t["name"]: t for t in manifest["spec"]["templates"]}


def test_an_optional_artifact_is_argos_optional_on_both_sides_and_in_the_argument() -> None:
    manifest = argosy.compile(chain)
    found = templates(manifest)
    assert found["make"]["outputs"]["artifacts"] == [
        {"name": "report", "path": "/tmp/outputs/report", "optional": True},
        {"name": "sure", "path": "/tmp/outputs/sure"},
    ]
    assert found["read"]["inputs"]["artifacts"] == [
        {"name": "report", "path": "/tmp/inputs/report", "optional": True},
        {"name": "more", "path": "/tmp/inputs/m", "optional": True},
    ]
    task = found["main"]["dag"]["tasks"][1]
    source = "{{tasks.make.outputs.artifacts.report}}"
    assert task["arguments"] == {"artifacts": [{"name": "report", "from": source, "optional": True}]}
    assert [v for v in lint_manifest(manifest) if v.is_error] == []


@pytest.mark.parametrize("program", [chain, in_a_loop])
@pytest.mark.parametrize(("report", "text"), [("true", "the report, None"), ("false", "nothing, None")])
def test_a_step_gets_none_where_there_is_nothing(
    program: Any, report: str, text: str, tmp_path: Path, repository: Path
) -> None:
    result = run_manifest(
        argosy.compile(program),
        parameters={"report": report},
        run_dir=tmp_path / "run",
        environment={"PATH": os.environ["PATH"], "PYTHONPATH": str(repository)},
        reporter=NullReporter(),
    )
    assert result.succeeded, [n.log_tail for n in result.failed_nodes]
    told = [n.outputs.parameters["result"] for n in result.nodes if n.template == "read"]
    assert set(told) == {text}


def test_what_may_be_missing_does_not_feed_what_must_be_there() -> None:
    with pytest.raises(
        ComposeError, match=r"the input 'report' wants a file artifact, got .*\(file \| none\)"
    ):
        argosy.compile(needs_it)


def step(data: File = Path("mine.csv")) -> None: ...


def test_a_default_file_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(DeclarationError) as caught:
        read_interface(step)
    assert "test_artifacts.py:" in str(caught.value)
    assert (
        "input 'data' is an artifact, and its only default is None: write 'data: File | None = None', "
        "and use 'mine.csv' in the function where it is None"
    ) in str(caught.value)


def test_a_pipelines_own_parameter_is_no_file() -> None:
    def program(data: File) -> None: ...

    with pytest.raises(DeclarationError, match="'data' is an artifact, and a pipeline's parameters are text"):
        pipeline(program)
