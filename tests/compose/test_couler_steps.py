"""Programs of Couler's own steps, as its documentation writes them."""

from collections.abc import Callable
from typing import Any

import couler.argo as couler
import pytest

from argosy import compile, pipeline
from tests.compose.steps import make, notify, publish


def compiled(program: Callable[..., Any]) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The tasks of a program's entrypoint and its templates, by name."""
    templates = {t["name"]: t for t in compile(pipeline(name="p")(program))["spec"]["templates"]}
    return {t["name"]: t for t in templates["main"]["dag"]["tasks"]}, templates


def job(name: str, word: Any = "w") -> Any:
    return couler.run_container(image="alpine", command=["echo"], args=[word], step_name=name)


def flip() -> Any:
    return couler.run_script(image="python:3", source="print('heads')")


def test_each_call_of_an_unnamed_step_is_a_task() -> None:
    def program() -> None:
        first = flip()
        second = flip()
        couler.when(couler.equal(first, "heads"), lambda: job("a"))
        couler.when(couler.equal(second, "tails"), lambda: job("b"))

    tasks, templates = compiled(program)
    assert list(tasks) == ["flip", "flip-2", "a", "b"]
    assert tasks["a"]["when"] == "{{tasks.flip.outputs.result}} == heads"
    assert tasks["b"]["when"] == "{{tasks.flip-2.outputs.result}} == tails"
    assert tasks["flip-2"] == {"name": "flip-2", "template": "flip", "depends": "flip"}
    assert list(templates) == ["main", "flip", "a", "b"]


def test_unnamed_steps_of_one_function_keep_their_templates() -> None:
    def program() -> None:
        def two() -> None:
            couler.run_container(image="first", command=["x"])
            couler.run_container(image="second", command=["x"])

        two()
        couler.concurrent(
            [
                lambda: couler.run_container(image="third", command=["x"]),
                lambda: couler.run_container(image="fourth", command=["x"]),
            ]
        )

    tasks, templates = compiled(program)
    images = [templates[t["template"]]["container"]["image"] for t in tasks.values()]
    assert images == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize("subtasks", [False, True])
def test_concurrent_starts_together_and_is_waited_for(subtasks: bool) -> None:
    def branch(letter: str) -> Any:
        job(f"{letter}1")
        return job(f"{letter}2")

    def program() -> None:
        job("start")
        couler.concurrent([lambda: branch("a"), lambda: branch("b")], subtasks=subtasks)
        job("end")

    tasks, templates = compiled(program)
    assert {n: t.get("depends") for n, t in tasks.items()} == {
        "start": None,
        "a1": "start",
        "a2": "a1",
        "b1": "start",
        "b2": "b1",
        "end": "a2 && b2",
    }
    assert not [n for n in templates if n.startswith("concurrent")]


def test_concurrent_within_concurrent() -> None:
    def inner() -> None:
        job("b1")
        couler.concurrent([lambda: job("c"), lambda: job("d")])
        job("b2")

    def program() -> None:
        couler.concurrent([lambda: job("a"), inner])
        job("end")

    tasks, _ = compiled(program)
    assert {n: t.get("depends") for n, t in tasks.items()} == {
        "a": None,
        "b1": None,
        "c": "b1",
        "d": "b1",
        "b2": "c && d",
        "end": "a && b2",
    }


def test_loops_stand_in_the_order_of_the_program() -> None:
    def program() -> None:
        job("before")
        couler.map(lambda item: job("each", item), [1, 2])
        couler.map(lambda item: (job("one", item), job("two", item))[1], [1, 2])
        couler.exec_while(couler.equal("tails"), flip)
        job("after")

    tasks, templates = compiled(program)
    assert {n: t.get("depends") for n, t in tasks.items()} == {
        "before": None,
        "each": "before",
        "map-one": "each",
        "while-flip": "map-one",
        "after": "while-flip",
    }
    inner = {t["name"]: t.get("depends") for t in templates["map-one"]["dag"]["tasks"]}
    assert inner == {"one": None, "two": "one"}


def test_a_step_waits_for_the_components_before_it_but_not_they_for_it() -> None:
    def program() -> None:
        job("first")
        notify(text="a")
        job("last")

    tasks, _ = compiled(program)
    assert {n: t.get("depends") for n, t in tasks.items()} == {
        "first": None,
        "notify": None,
        "last": "first && notify",
    }


def test_components_and_steps_side_by_side() -> None:
    def program() -> None:
        couler.concurrent([lambda: notify(text="a"), lambda: job("b"), lambda: notify(text="c")])
        job("end")

    tasks, _ = compiled(program)
    assert {n: t.get("depends") for n, t in tasks.items()} == {
        "notify": None,
        "b": None,
        "notify-2": None,
        "end": "notify && b && notify-2",
    }


def test_a_step_does_not_wait_twice_for_the_same() -> None:
    def program() -> None:
        made = make()
        publish(model=made.model)
        job("last")

    tasks, _ = compiled(program)
    assert tasks["last"]["depends"] == "publish"


def test_a_global_output_is_declared_as_it_is_referred_to() -> None:
    def program() -> None:
        place = couler.create_parameter_artifact(path="/tmp/word.txt", is_global=True)
        word = couler.run_container(image="alpine", command=["x"], output=place, step_name="first")
        job("second", word)

    tasks, templates = compiled(program)
    (output,) = templates["first"]["outputs"]["parameters"]
    (argument,) = tasks["second"]["arguments"]["parameters"]
    assert argument["value"] == f"{{{{workflow.outputs.parameters.{output['globalName']}}}}}"
    assert tasks["second"]["depends"] == "first"


def test_a_job_is_declared_as_argo_reads_it() -> None:
    manifest = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: j-}\nspec: {}\n"

    def program() -> None:
        couler.run_job(manifest=manifest, success_condition="a > 0", failure_condition="b > 3", step_name="j")

    template = compiled(program)[1]["j"]
    assert template["resource"]["setOwnerReference"] is True
    sources = [next(iter(p["valueFrom"].values())) for p in template["outputs"]["parameters"]]
    assert sources == ["{.metadata.name}", "{.metadata.uid}", "."]


def test_the_same_name_in_a_drawn_dag_is_the_same_task() -> None:
    def program() -> None:
        couler.dag(
            [
                [lambda: job("A")],
                [lambda: job("A"), lambda: job("B")],
                [lambda: job("A"), lambda: job("C")],
                [lambda: job("B"), lambda: job("D")],
                [lambda: job("C"), lambda: job("D")],
            ]
        )

    tasks, _ = compiled(program)
    assert {n: t.get("depends") for n, t in tasks.items()} == {"A": None, "B": "A", "C": "A", "D": "B && C"}
