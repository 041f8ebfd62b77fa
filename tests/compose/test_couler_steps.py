"""Programs of Couler's own steps, as its documentation writes them."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import couler.argo as couler
import pytest
from couler.core.templates.volume import VolumeMount

from argosy import compile, component, pipeline
from argosy.errors import ComposeError
from tests.compose import steps as local_steps
from tests.compose.steps import make, notify, publish

VALUE = 1


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


def said(*args: Any, **options: Any) -> Any:
    return couler.run_container(**{"image": "i:1", "command": ["c"], "step_name": "notify"} | options)


@pytest.mark.parametrize("component_first", [False, True])
def test_a_step_named_like_a_component_keeps_its_own_program(component_first: bool) -> None:
    def program() -> None:
        calls = [said, lambda: notify("a")]
        for call in reversed(calls) if component_first else calls:
            call()

    tasks, templates = compiled(program)
    images = [templates[t["template"]]["container"]["image"] for t in tasks.values()]
    assert images == (["example/steps:1", "i:1"] if component_first else ["i:1", "example/steps:1"])
    assert [t["template"] for t in tasks.values()] == ["notify", "notify-2"]


@component(image="example/steps:1")
def map_publish() -> None:
    """Do what the body of a loop is named after."""


@pytest.mark.parametrize("loop_first", [False, True])
def test_the_body_of_a_loop_has_a_name_of_its_own(loop_first: bool) -> None:
    def program() -> None:
        calls = [
            lambda: map_publish.options(name="other")(),
            lambda: couler.map(lambda n: (publish(make(times=n).model), notify("b")), [1]),
        ]
        for call in reversed(calls) if loop_first else calls:
            call()

    program_templates = compile(pipeline(name="p")(program))["spec"]["templates"]
    names = [t["name"] for t in program_templates]
    assert len(set(names)) == len(names)


Options = dict[str, Any]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"image": "other:2"}),
        ({}, {"command": ["d"]}),
        ({}, {"env": {"A": "b"}}),
        ({"env": {"A": "b"}}, {"env": {"A": "c"}}),
        ({"env": {"A": True}}, {"env": {"A": 1}}),
        ({}, {"args": ["a"]}),
        ({"args": ["a"]}, {"args": ["a", "b"]}),
        ({}, {"timeout": 5}),
        ({}, {"resources": {"cpu": 1}}),
        ({}, {"node_selector": {"a": "b"}}),
        ({}, {"output": couler.create_parameter_artifact(path="/tmp/a")}),
        (
            {"output": couler.create_parameter_artifact(path="/tmp/a")},
            {"output": couler.create_parameter_artifact(path="/tmp/b")},
        ),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_steps_of_one_name_with_other_content_have_templates_of_their_own(
    first: Options, second: Options, named: bool
) -> None:
    def step(options: Options) -> Any:
        return couler.run_container(
            **{"image": "i:1", "command": ["c"], "step_name": "step" if named else None} | options
        )

    def program() -> None:
        for options in (first, second, first, second):
            step(options)

    tasks, templates = compiled(program)
    assert list(tasks) == ["step", "step-2", "step-3", "step-4"]
    assert [t["template"] for t in tasks.values()] == ["step", "step-2", "step", "step-2"]
    assert list(templates) == ["main", "step", "step-2"]
    for task in tasks.values():
        given = [p["name"] for p in task.get("arguments", {}).get("parameters", ())]
        declared = [p["name"] for p in templates[task["template"]].get("inputs", {}).get("parameters", ())]
        assert given == declared


def test_scripts_of_one_name_with_other_content_have_templates_of_their_own() -> None:
    def program() -> None:
        for text in ("print(1)", "print(2)", "print(1)"):
            couler.run_script(image="python:3", source=text, step_name="say")

    tasks, templates = compiled(program)
    sources = [templates[t["template"]]["script"]["source"] for t in tasks.values()]
    assert sources == ["print(1)\n", "print(2)\n", "print(1)\n"]
    assert list(templates) == ["main", "say", "say-2"]


def test_steps_of_one_program_share_their_template_and_leave_its_lists_alone() -> None:
    mounts = [VolumeMount("data", "/data")]
    words = ["a"]

    def step() -> Any:
        # An artifact has another name in each call: that makes no other program.
        place = couler.create_local_artifact(path="/tmp/out/a")
        return said(args=words, output=place, volume_mounts=mounts)

    def program() -> None:
        step()
        step()
        couler.run_container(
            image="i", command=["m"], output=couler.create_parameter_artifact(path="/a"), step_name="made"
        )
        couler.set_dependencies(lambda: said(args=words, step_name="after"), dependencies=["made"])

    tasks, templates = compiled(program)
    assert tasks["notify-2"]["template"] == "notify"
    assert [m["name"] for m in templates["notify"]["container"]["volumeMounts"]] == [
        "data",
        "couler-out-dir-0",
    ]
    assert words == ["a"]
    assert [m.name for m in mounts] == ["data"]
    assert len(templates["notify"]["inputs"]["parameters"]) == 1
    assert len(tasks["after"]["arguments"]["parameters"]) == 2


GRAPH = "there is a step 'notify' already, with another program or other arguments"


@pytest.mark.parametrize(
    "program",
    [
        lambda: couler.dag([[lambda: said()], [lambda: said(image="j:2")]]),
        lambda: couler.dag([[lambda: said(args=["a"])], [lambda: said(args=["b"])]]),
        lambda: (notify("a"), couler.set_dependencies(said, dependencies=None)),
        lambda: (said(), couler.set_dependencies(lambda: said(image="j:2"), dependencies=None)),
        lambda: (
            said(args=["a"]),
            couler.set_exit_handler(
                couler.WFStatus.Failed,
                lambda: couler.set_dependencies(lambda: said(args=["b"]), dependencies=None),
            ),
        ),
    ],
)
def test_a_name_in_a_graph_stands_for_one_step(program: Callable[[], Any]) -> None:
    with pytest.raises(ComposeError, match=rf"test_couler_steps\.py:\d+: {GRAPH}"):
        compiled(program)


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


def test_a_function_called_main_makes_steps_of_another_name() -> None:
    def main() -> None:
        couler.run_container(image="a:1", command=["c"])

    tasks, templates = compiled(main)
    assert [t["template"] in templates and t["template"] != "main" for t in tasks.values()] == [True]


def test_a_drawn_dag_drops_nothing() -> None:
    with pytest.raises(ComposeError, match=r"test_couler_steps\.py:\d+: couler.dag .* would drop <function"):
        compiled(lambda: couler.dag([lambda: make(), [lambda: make()]]))


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


def complete() -> None:
    import random

    print([random.random() for _ in range(3)])


def test_a_function_becomes_the_script_that_its_body_is() -> None:
    def program() -> None:
        couler.run_script(image="python:3", source=complete, step_name="numbers")

    source = compiled(program)[1]["numbers"]["script"]["source"]
    assert source == "import random\n\nprint([random.random() for _ in range(3)])\n"


def with_imports_of_its_file() -> None:
    print([math.sqrt(number) for number in range(3)], Path("x").name)


def returning() -> None:
    for number in range(3):
        if number:
            return
        print(number)


def recursive() -> None:
    print(recursive)


def with_lines_of_a_text() -> None:
    print("""first
  second""")


def with_a_comment() -> None:
    # Said before anything is done.
    print("done")  # and after


def of_a_deeper_place() -> Callable[[], None]:
    def deep() -> None:
        print("""a
b""")

    return deep


@pytest.mark.parametrize(
    ("function", "source", "prints"),
    [
        (
            with_imports_of_its_file,
            "import math\nfrom pathlib import Path\n\nprint([math.sqrt(number) for number in range(3)], "
            'Path("x").name)\n',
            "[0.0, 1.0, 1.4142135623730951] x",
        ),
        (returning, None, "0"),
        (recursive, None, "<function recursive at ...>"),
        (with_lines_of_a_text, None, "first\n  second"),
        (of_a_deeper_place(), None, "a\nb"),
        (with_a_comment, '# Said before anything is done.\nprint("done")  # and after\n', "done"),
    ],
)
@pytest.mark.parametrize("command", [None, "python3", ["/usr/bin/python3", "-u"]])
def test_the_script_does_what_the_function_does(
    function: Callable[..., None], source: str | None, prints: str, command: Any
) -> None:
    def program() -> None:
        couler.run_script(image="python:3", source=function, step_name="said", command=command)

    script = compiled(program)[1]["said"]["script"]["source"]
    assert source in (None, script.lstrip("\n"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert re.sub("0x[0-9a-f]+", "...", done.stdout) == f"{prints}\n", done.stderr


def test_a_function_is_no_script_of_another_language() -> None:
    with pytest.raises(ComposeError, match=r"with_a_comment\(\) is Python, and the command .* is 'bash'"):
        compiled(lambda: couler.run_script(image="a:1", source=with_a_comment, command="bash"))


def generating() -> Any:
    yield 1


async def waiting() -> None: ...


def with_a_module_of_the_project() -> None:
    print(local_steps.make, VALUE)


def from_its_module() -> None:
    print([couler.__name__ for _ in range(3)])


def with_argument(word: str = "x") -> None:
    print(word)


def of_a_local(word: str) -> Any:
    def say() -> None:
        print(word)

    return say


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        (lambda: print("x"), "a lambda has no text of its own"),
        (from_its_module, "from_its_module() uses couler from around it"),
        (with_a_module_of_the_project, "uses local_steps, VALUE from around it"),
        (generating, "generating() would only be made, and not run"),
        (waiting, "waiting() would only be made, and not run"),
        (with_argument, "with_argument() takes word"),
        (of_a_local("x"), "say() uses word from around it"),
        (make, "<component make> is no function and no text"),
    ],
)
def test_a_function_that_is_no_script_is_refused_on_its_line(source: Any, fragment: str) -> None:
    def program() -> None:
        couler.run_script(image="python:3", source=source, step_name="said")

    with pytest.raises(ComposeError) as caught:
        compiled(program)
    assert fragment in str(caught.value)
    assert "test_couler_steps.py:" in str(caught.value)
