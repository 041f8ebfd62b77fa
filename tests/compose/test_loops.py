"""`couler.map` and `couler.exec_while` with components."""

from collections.abc import Callable
from typing import Any

import couler.argo as couler
import pytest

from argosy import compile, pipeline
from argosy.errors import ComposeError
from tests.compose.steps import gate, make, notify, publish


def templates_of(program: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    spec = compile(pipeline(name="p")(program))["spec"]
    return {t["name"]: t for t in spec["templates"]}


def tasks_of(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in template["dag"]["tasks"]}


@pytest.mark.parametrize(
    ("items", "use", "value", "rendered"),
    [
        (["a", "b"], lambda x: x, "{{item}}", ["a", "b"]),
        ([1, 2], lambda x: f"no. {x}", "no. {{item}}", [1, 2]),
        ([{"who": "a"}], lambda x: x["who"], "{{item.who}}", [{"who": "a"}]),
        ([["a", 1], ["b", 2]], lambda x: x[0], "{{item.v0}}", [{"v0": "a", "v1": 1}, {"v0": "b", "v1": 2}]),
    ],
)
def test_a_list_becomes_with_items(items: list[Any], use: Any, value: str, rendered: list[Any]) -> None:
    task = tasks_of(templates_of(lambda: couler.map(lambda x: notify(text=use(x)), items))["main"])["notify"]
    assert task["withItems"] == rendered
    assert task["arguments"]["parameters"] == [{"name": "text", "value": value}]


def test_an_output_becomes_with_param_and_an_edge() -> None:
    def program() -> None:
        couler.map(lambda x: notify(text=x), gate(number=1).note)

    task = tasks_of(templates_of(program)["main"])["notify"]
    assert task["withParam"] == "{{tasks.gate.outputs.parameters.note}}"
    assert task["depends"] == "gate"


def test_a_parameter_becomes_with_param() -> None:
    def program(words: list[str] = ["a"]) -> None:  # noqa: B006
        couler.map(lambda x: notify(text=x), words)

    task = tasks_of(templates_of(program)["main"])["notify"]
    assert task["withParam"] == "{{inputs.parameters.words}}"


def test_a_loop_inside_a_branch_carries_its_condition() -> None:
    def program() -> None:
        verdict = gate(number=1)
        couler.when(
            couler.equal(verdict.result, "passed"), lambda: couler.map(lambda x: notify(text=x), ["a"])
        )

    task = tasks_of(templates_of(program)["main"])["notify"]
    assert task["when"] == "{{tasks.gate.outputs.parameters.result}} == passed"


def test_a_body_of_several_steps_becomes_a_template_with_inputs() -> None:
    def program(who: str = "x") -> None:
        made = make()

        def body(item: Any) -> Any:
            verdict = gate(number=made.number, note=f"{who} {item}")
            couler.when(couler.equal(verdict.result, "passed"), lambda: publish(model=made.model))
            return verdict

        couler.map(body, ["a", "b"])

    found = templates_of(program)
    loop = tasks_of(found["main"])["map-gate"]
    assert loop["withItems"] == ["a", "b"]
    assert loop["depends"] == "make"
    assert loop["arguments"] == {
        "parameters": [
            {"name": "make-number", "value": "{{tasks.make.outputs.parameters.number}}"},
            {"name": "who", "value": "{{inputs.parameters.who}}"},
            {"name": "item", "value": "{{item}}"},
        ],
        "artifacts": [{"name": "make-model", "from": "{{tasks.make.outputs.artifacts.model}}"}],
    }
    body = tasks_of(found["map-gate"])
    assert body["gate"]["arguments"]["parameters"] == [
        {"name": "number", "value": "{{inputs.parameters.make-number}}"},
        {"name": "note", "value": "{{inputs.parameters.who}} {{inputs.parameters.item}}"},
    ]
    assert body["publish"]["when"] == "{{tasks.gate.outputs.parameters.result}} == passed"
    assert body["publish"]["arguments"]["artifacts"][0]["from"] == "{{inputs.artifacts.make-model}}"


def test_loops_nest() -> None:
    def program() -> None:
        def body(a: Any) -> Any:
            first = notify(text=a)
            couler.map(lambda b: notify(text=f"{a}{b}"), ["x", "y"])
            return first

        couler.map(body, ["1", "2"])

    found = templates_of(program)
    assert tasks_of(found["main"])["map-notify"]["withItems"] == ["1", "2"]
    inner = tasks_of(found["map-notify"])["notify-2"]
    assert inner["withItems"] == ["x", "y"]
    assert inner["arguments"]["parameters"][0]["value"] == "{{inputs.parameters.item}}{{item}}"


def test_exec_while_calls_itself_as_long_as_the_condition_holds() -> None:
    def program() -> None:
        made = make()
        couler.exec_while(couler.equal("failed"), lambda: gate(number=made.number))

    found = templates_of(program)
    assert tasks_of(found["main"])["while-gate"]["depends"] == "make"
    again = tasks_of(found["while-gate"])["while-gate-again"]
    assert again["template"] == "while-gate"
    assert again["depends"] == "gate"
    assert again["when"] == "{{tasks.gate.outputs.parameters.result}} == failed"
    assert again["arguments"]["parameters"] == [
        {"name": "make-number", "value": "{{inputs.parameters.make-number}}"}
    ]


def test_plain_couler_steps_loop_too() -> None:
    def program() -> None:
        couler.map(
            lambda x: couler.run_container(image="alpine:3", command=["echo"], args=[x], step_name="say"),
            ["1"],
        )

    task = tasks_of(templates_of(program)["main"])["say"]
    assert task["withItems"] == ["1"]
    assert task["arguments"]["parameters"][0]["value"] == "{{item}}"


def test_a_body_that_returns_nothing_cannot_be_repeated() -> None:
    def program() -> None:
        couler.exec_while(couler.equal("failed"), lambda: [gate(number=1), None][1])

    with pytest.raises(ComposeError, match="must return its last step"):
        compile(pipeline(name="p")(program))


def test_lists_are_walked_side_by_side_as_upstream_walks_them() -> None:
    task = tasks_of(
        templates_of(lambda: couler.map(lambda a, n: make(name=a, times=n), ["a", "b"], [1, 2]))["main"]
    )
    assert task["make"]["withItems"] == [{"v0": "a", "v1": 1}, {"v0": "b", "v1": 2}]
    assert [p["value"] for p in task["make"]["arguments"]["parameters"]] == ["{{item.v0}}", "{{item.v1}}"]
