"""An exit handler for every end of a workflow, in one call."""

from typing import Any

import couler.argo as couler
import pytest

from argosy import compile, component, on_exit, pipeline
from argosy.errors import ComposeError
from argosy.lint import lint_manifest
from tests.compose.steps import make, notify


@component(image="example/steps:1")
def report(status: str, failed: list[str]) -> None:
    """Tell who has to know."""


@component(image="example/steps:1")
def counted(number: int) -> None:
    """Take a number."""


def spec(program: Any) -> dict[str, Any]:
    manifest = compile(pipeline(name="p")(program))
    assert [v for v in lint_manifest(manifest) if v.is_error] == []
    found: dict[str, Any] = manifest["spec"]
    return found


def test_its_steps_run_whatever_the_status() -> None:
    def program(who: str = "team") -> None:
        make()
        on_exit(lambda end: report(status=f"{who}: {end.status}", failed=end.failed))

    found = spec(program)
    handler = next(t for t in found["templates"] if t["name"] == found["onExit"])
    (task,) = handler["dag"]["tasks"]
    assert "when" not in task
    status, failed = (p["value"] for p in task["arguments"]["parameters"])
    assert status == "{{inputs.parameters.who}}: {{workflow.status}}"
    assert failed.startswith("{{=toJson(map(filter(fromJSON(fromJSON(workflow.failures))")


def test_it_stands_beside_handlers_of_one_status() -> None:
    def program() -> None:
        make()
        couler.set_exit_handler(couler.WFStatus.Failed, lambda: notify(text="failed"))
        on_exit(lambda end: report(status=end.status, failed=end.failed))
        couler.set_exit_handler(couler.WFStatus.Succeeded, lambda: notify(text="fine"))

    tasks = spec(program)["templates"][1]["dag"]["tasks"]
    assert [(t["template"], t.get("when")) for t in tasks] == [
        ("notify", "{{workflow.status}} == Failed"),
        ("report", None),
        ("notify", "{{workflow.status}} == Succeeded"),
    ]


def test_a_condition_in_it_is_the_users_own() -> None:
    def program() -> None:
        make()
        on_exit(
            lambda end: couler.when(
                couler.equal(end.status, "Failed"), lambda: report(status=end.status, failed=end.failed)
            )
        )

    (task,) = spec(program)["templates"][1]["dag"]["tasks"]
    assert task["when"] == "{{workflow.status}} == Failed"


@pytest.mark.parametrize(
    ("handler", "fragment"),
    [
        (lambda end: counted(number=end.status), "the input 'number' wants a whole number"),
        (lambda end: report(f"{end}", ["y"]), "an ending is no value; it has two: end.status and end.failed"),
        (lambda: report("x", ["y"]), "on_exit calls its function with the ending: lambda end: "),
        (
            lambda end: couler.when(couler.equal(end.status, "Faild"), lambda: report("x", ["y"])),
            "the workflow's status (Succeeded | Failed | Error) and 'Faild' are never equal",
        ),
        (lambda end: counted(number=end.failed), "the input 'number' wants a whole number"),
        (
            lambda end: report("x", ["y"]) if end.failed else None,
            "has no value while the pipeline is composed",
        ),
        ("not a function", "on_exit takes a function of the ending"),
    ],
)
def test_mistakes_are_told_on_their_line(handler: Any, fragment: str) -> None:
    def program() -> None:
        make()
        on_exit(handler)

    with pytest.raises(ComposeError) as caught:
        spec(program)
    assert fragment in str(caught.value) and "test_ending.py:" in str(caught.value)
