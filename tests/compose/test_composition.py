"""Couler programs and the DAGs that they become."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import couler.argo as couler
import pytest

from argosy import compile, component, pipeline
from argosy.manifest.emit import to_yaml
from tests.compose.steps import gate, make, notify, publish


def tasks_of(program: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """The tasks of a program's entrypoint, by name."""
    manifest = compile(pipeline(name="p")(program))
    return {t["name"]: t for t in manifest["spec"]["templates"][0]["dag"]["tasks"]}


def test_data_makes_the_edges() -> None:
    def program() -> None:
        made = make()
        publish(model=made.model, number=made.number)

    task = tasks_of(program)["publish"]
    assert task["depends"] == "make"
    assert task["arguments"] == {
        "parameters": [{"name": "number", "value": "{{tasks.make.outputs.parameters.number}}"}],
        "artifacts": [{"name": "model", "from": "{{tasks.make.outputs.artifacts.model}}"}],
    }


def test_calls_without_data_between_them_run_side_by_side() -> None:
    def program() -> None:
        notify(text="a")
        notify(text="b")

    tasks = tasks_of(program)
    assert list(tasks) == ["notify", "notify-2"]
    assert all("depends" not in t for t in tasks.values())


def test_a_branch_of_dependent_steps_states_its_condition_once() -> None:
    def program() -> None:
        verdict = gate(number=1)

        def branch() -> None:
            made = make()
            publish(model=made.model)

        couler.when(couler.equal(verdict.result, "passed"), branch)

    tasks = tasks_of(program)
    assert tasks["make"]["when"] == "{{tasks.gate.outputs.parameters.result}} == passed"
    assert tasks["make"]["depends"] == "gate"
    assert "when" not in tasks["publish"]
    # Succeeded alone: when `make` is skipped, `publish` is omitted and not run.
    assert tasks["publish"]["depends"] == "make.Succeeded"


def test_every_first_step_of_a_branch_states_the_condition() -> None:
    def program() -> None:
        verdict = gate(number=1)
        couler.when(couler.equal(verdict.result, "failed"), lambda: (notify(text="a"), notify(text="b")))

    tasks = tasks_of(program)
    for name in ("notify", "notify-2"):
        assert tasks[name]["when"] == "{{tasks.gate.outputs.parameters.result}} == failed"
        assert tasks[name]["depends"] == "gate"


def test_nested_when_keeps_the_outer_branch() -> None:
    def program() -> None:
        outer = gate(number=1)

        def branch() -> None:
            made = make()

            def inner() -> None:
                notify(text="inner")

            couler.when(couler.bigger(made.number, 3), inner)
            # After the nested `when`, still in the outer branch.
            notify(text="outer")

        couler.when(couler.equal(outer.result, "passed"), branch)
        notify(text="always")

    tasks = tasks_of(program)
    assert tasks["notify"]["when"] == "{{tasks.make.outputs.parameters.number}} > 3"
    assert tasks["notify"]["depends"] == "make.Succeeded"
    assert tasks["notify-2"]["when"] == "{{tasks.gate.outputs.parameters.result}} == passed"
    assert tasks["notify-2"]["depends"] == "gate"
    assert "when" not in tasks["notify-3"] and "depends" not in tasks["notify-3"]


def test_nested_conditions_on_results_of_the_outside_are_joined() -> None:
    def program() -> None:
        first, second = gate(number=1), gate(number=2)
        couler.when(
            couler.equal(first.result, "passed"),
            lambda: couler.when(couler.equal(second.result, "passed"), lambda: notify(text="both")),
        )

    task = tasks_of(program)["notify"]
    assert task["when"] == (
        "{{tasks.gate.outputs.parameters.result}} == passed"
        " && {{tasks.gate-2.outputs.parameters.result}} == passed"
    )
    assert task["depends"] == "gate && gate-2"


@pytest.mark.parametrize(
    ("predicate", "value", "text"),
    [
        (couler.equal, "in review", '"{{T}}" == "in review"'),
        (couler.not_equal, "a", '"{{T}}" != "a"'),
        (couler.equal, 'say "x"', '"{{T}}" == "say \\"x\\""'),
        (couler.equal, 'it\'s "q" \\', '"{{T}}" == "it\\\'s \\"q\\" \\\\"'),
    ],
)
def test_free_text_is_quoted_in_when(predicate: Any, value: str, text: str) -> None:
    def program() -> None:
        couler.when(predicate(gate(number=1).note, value), lambda: notify(text="x"))

    found = tasks_of(program)["notify"]["when"]
    assert found == text.replace("{{T}}", "{{tasks.gate.outputs.parameters.note}}")


@pytest.mark.parametrize(
    ("predicate", "sign"),
    [
        (couler.equal, "=="),
        (couler.not_equal, "!="),
        (couler.bigger, ">"),
        (couler.smaller, "<"),
        (couler.bigger_equal, ">="),
        (couler.smaller_equal, "<="),
    ],
)
def test_every_comparison(predicate: Any, sign: str) -> None:
    def program() -> None:
        couler.when(predicate(gate(number=1).score, 0.5), lambda: notify(text="x"))

    assert tasks_of(program)["notify"]["when"] == f"{{{{tasks.gate.outputs.parameters.score}}}} {sign} 0.5"


def test_a_parameter_of_the_pipeline_and_another_output_can_be_compared() -> None:
    def program(mode: Literal["fast", "full"] = "fast", least: float = 0.5) -> None:
        verdict = gate(number=1)
        couler.when(couler.equal(mode, "full"), lambda: notify(text="full"))
        couler.when(couler.bigger(verdict.score, least), lambda: notify(text="above"))
        couler.when(couler.not_equal(verdict.score, gate(number=2).score), lambda: notify(text="differ"))

    tasks = tasks_of(program)
    assert tasks["notify"]["when"] == "{{inputs.parameters.mode}} == full"
    assert "depends" not in tasks["notify"]
    score = "{{tasks.gate.outputs.parameters.score}}"
    assert tasks["notify-2"]["when"] == f"{score} > {{{{inputs.parameters.least}}}}"
    assert tasks["notify-3"]["when"] == f"{score} != {{{{tasks.gate-2.outputs.parameters.score}}}}"
    assert tasks["notify-3"]["depends"] == "gate && gate-2"


def test_order_from_outside_of_a_branch_does_not_wait_for_it_to_be_taken() -> None:
    def program() -> None:
        couler.when(couler.equal(gate(number=1).result, "passed"), lambda: make())
        couler.set_dependencies(lambda: notify(text="after"), dependencies=["make", "gate"])

    depends = tasks_of(program)["notify"]["depends"]
    assert depends == "(make.Succeeded || make.Skipped || make.Omitted) && gate"


def test_set_dependencies_takes_names_handles_and_expressions() -> None:
    def program() -> None:
        first = make()
        couler.set_dependencies(lambda: notify(text="a"), dependencies=[first])
        couler.set_dependencies(lambda: notify(text="b"), dependencies="make.Failed || notify")

    tasks = tasks_of(program)
    assert tasks["notify"]["depends"] == "make"
    assert tasks["notify-2"]["depends"] == "make.Failed || notify"


def test_dag_chains_each_list_and_names_a_repeated_call_once() -> None:
    def program() -> None:
        a = lambda: make(name="a")  # noqa: E731
        b = lambda: notify(text="b")  # noqa: E731
        c = lambda: notify(text="c")  # noqa: E731
        couler.dag([[a], [a, b], [a, c], [b, c]])

    tasks = tasks_of(program)
    assert list(tasks) == ["make", "notify", "notify-2"]
    assert tasks["notify"]["depends"] == "make"
    assert tasks["notify-2"]["depends"] == "make && notify"


def test_concurrent_runs_side_by_side() -> None:
    def program() -> None:
        couler.concurrent([lambda: notify(text="a"), lambda: notify(text="b")])

    assert all("depends" not in t for t in tasks_of(program).values())


def test_plain_couler_steps_take_our_outputs_and_keep_their_arguments() -> None:
    def program() -> None:
        made = make()

        def branch() -> None:
            couler.run_container(
                image="alpine:3", command=["echo"], args=["n", made.number, 5], step_name="plain"
            )

        couler.when(couler.bigger(made.number, 1), branch)

    manifest = compile(pipeline(name="p")(program))
    task = manifest["spec"]["templates"][0]["dag"]["tasks"][1]
    assert task["when"] == "{{tasks.make.outputs.parameters.number}} > 1"
    assert [p["value"] for p in task["arguments"]["parameters"]] == [
        "n",
        "{{tasks.make.outputs.parameters.number}}",
        "5",
    ]
    container = next(t for t in manifest["spec"]["templates"] if t["name"] == "plain")["container"]
    assert container["args"] == [f"{{{{inputs.parameters.para-plain-{i}}}}}" for i in range(3)]


def test_our_components_take_outputs_of_plain_couler_steps() -> None:
    def saying() -> None:
        print("said")

    def program() -> None:
        said = couler.run_script(image="python:3.11", source=saying, step_name="say")
        notify(text=said)

    task = tasks_of(program)["notify"]
    assert task["arguments"]["parameters"][0]["value"] == "{{tasks.say.outputs.result}}"
    assert task["depends"] == "say"


def test_exit_handler_keeps_its_arguments() -> None:
    def program(who: str = "team") -> None:
        make()
        couler.set_exit_handler(couler.WFStatus.Failed, lambda: notify(text=f"to {who}"))

    spec = compile(pipeline(name="p")(program))["spec"]
    assert spec["onExit"] == "exit-handler"
    handler = spec["templates"][1]
    assert handler["inputs"]["parameters"] == [{"name": "who", "value": "team"}]
    (task,) = handler["dag"]["tasks"]
    assert task["when"] == "{{workflow.status}} == Failed"
    assert task["arguments"]["parameters"] == [{"name": "text", "value": "to {{inputs.parameters.who}}"}]


def test_options_make_another_task_of_the_same_template() -> None:
    def program() -> None:
        notify.options(name="first")(text="a")
        notify.options(name="slow", timeout=60)(text="b")

    spec = compile(pipeline(name="p")(program))["spec"]
    tasks = spec["templates"][0]["dag"]["tasks"]
    assert [(t["name"], t["template"]) for t in tasks] == [("first", "notify"), ("slow", "slow")]
    assert spec["templates"][2]["activeDeadlineSeconds"] == 60


def branching() -> None:
    verdict = gate(number=1)
    couler.when(couler.equal(verdict.result, "passed"), lambda: publish(model=make().model))


def test_a_component_may_be_called_as_the_workflows_own_templates() -> None:
    main = component(image="example/steps:1")(make.function).options(name="main")

    @pipeline()
    def called_main() -> None:
        """Call it."""
        main()

    templates = compile(called_main)["spec"]["templates"]
    assert templates[0]["dag"]["tasks"] == [{"name": "main", "template": "make"}]


def test_composing_in_threads_gives_the_same_yaml_as_alone() -> None:
    declared = pipeline(name="p")(branching)
    alone = to_yaml(compile(declared))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: to_yaml(compile(declared)), range(40))) == {alone}


def test_composing_after_an_exception_gives_the_same_yaml_as_alone() -> None:
    alone = to_yaml(compile(pipeline(name="p")(branching)))

    def broken() -> None:
        couler.when(couler.equal(gate(number=1).result, "passed"), lambda: 1 / 0)  # type: ignore[arg-type]

    with pytest.raises(ZeroDivisionError):
        compile(pipeline(name="broken")(broken))
    assert to_yaml(compile(pipeline(name="p")(branching))) == alone


def test_a_pipeline_without_options_needs_no_brackets() -> None:
    @pipeline
    def bare(text: str = "a") -> None:
        """One step."""
        notify(text=text)

    assert bare.interface.name == "bare"
    assert compile(bare)["metadata"]["generateName"] == "bare-"


@component(image="example/steps:1")
def measure() -> float:
    """Measure it."""
    raise NotImplementedError


def test_a_step_that_returns_a_bare_value_has_one_output_named_result() -> None:
    def program() -> None:
        gate(number=1, least=measure())
        notify(text=measure().result)  # type: ignore[attr-defined]  # a float, where no pipeline is composed

    tasks = tasks_of(program)
    taken = [{p["name"]: p["value"] for p in tasks[t]["arguments"]["parameters"]} for t in ("gate", "notify")]
    assert taken == [
        {"number": "1", "least": "{{tasks.measure.outputs.parameters.result}}"},
        {"text": "{{tasks.measure-2.outputs.parameters.result}}"},
    ]


def test_a_condition_has_no_exponent() -> None:
    @pipeline
    def flow(rate: float = 1e-5) -> None:
        couler.when(couler.bigger(2.5e-7, rate), lambda: notify(text="a"))
        couler.when(couler.smaller(gate(number=1).score, 1e16), lambda: notify(text="b"))
        couler.map(lambda each: couler.when(couler.equal(each, 0.5), lambda: notify(text="c")), [1e-9, 0.5])

    spec = compile(flow)["spec"]
    assert spec["arguments"]["parameters"] == [{"name": "rate", "value": "0.00001"}]
    tasks = spec["templates"][0]["dag"]["tasks"]
    assert tasks[0]["when"] == "0.00000025 > {{inputs.parameters.rate}}"
    assert tasks[2]["when"] == "{{tasks.gate.outputs.parameters.score}} < 10000000000000000.0"
    assert tasks[3]["withItems"] == ["0.000000001", 0.5]


@component(image="example/steps:1")
def configured(config: dict[str, Any]) -> None:
    """Take a whole item."""


def test_an_item_that_goes_on_as_json_keeps_its_numbers() -> None:
    def program() -> None:
        couler.map(lambda each: configured(config=each), [{"rate": 1e-9}])

    tasks = compile(pipeline(name="p")(program))["spec"]["templates"][0]["dag"]["tasks"]
    assert tasks[0]["withItems"] == [{"rate": 1e-9}]
