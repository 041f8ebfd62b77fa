"""Mistakes in a pipeline: one line each, naming the user's own line, when it is composed."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import couler.argo as couler
import pytest

from argosy import compile, component, on_exit, pipeline
from argosy.errors import ComposeError, UsageError
from tests.compose.steps import gate, make, notify, publish


def undeclared_input() -> None:
    gate(number=1, leest=0.1)  # type: ignore[call-arg]


def missing_input() -> None:
    gate()  # type: ignore[call-arg]


def two_values() -> None:
    gate(1, number=2)  # type: ignore[misc]


def too_many() -> None:
    notify("a", "b")  # type: ignore[call-arg]


def wrong_type() -> None:
    gate(number="three")  # type: ignore[arg-type]


def wrong_type_of_output() -> None:
    gate(number=gate(number=1).note)  # type: ignore[arg-type]


def parameter_for_artifact() -> None:
    publish(model=make().number)  # type: ignore[arg-type]


def artifact_for_parameter() -> None:
    notify(text=make().model)  # type: ignore[arg-type]


def text_for_artifact() -> None:
    publish(model="model.onnx")  # type: ignore[arg-type]


def unknown_output() -> None:
    notify(text=make().nomber)  # type: ignore[attr-defined]


def no_outputs() -> None:
    notify(text=notify(text="a").result)  # type: ignore[attr-defined]


def python_if() -> None:
    if gate(number=1).result == "passed":
        notify(text="a")


def unknown_dependency() -> None:
    couler.set_dependencies(lambda: notify(text="a"), dependencies=["maek"])


def unknown_verb() -> None:
    couler.run_contaner(image="a")


def unknown_policy() -> None:
    couler.run_container(image="a", command=["b"], image_pull_policy="Often", step_name="c")


def nothing_came_back() -> None:
    result: Any = couler.when(couler.equal(gate(number=1).result, "passed"), lambda: notify(text="a"))
    result.text  # noqa: B018


def bad_step_name() -> None:
    couler.run_container(image="a", command=["b"], step_name="DUP_b.c")


def called_too_much() -> None:
    couler.when(couler.equal(gate(number=1).result, "passed"), lambda: notify(text="a"), lambda: None)


def component_itself() -> None:
    notify(text=make)


def component_for_artifact() -> None:
    publish(model=make)


def a_lambda() -> None:
    notify(text=lambda: "a")


def arrows() -> None:
    make() >> notify(text="a")  # type: ignore[operator]


def after() -> None:
    notify(text="a").after(make())  # type: ignore[attr-defined]


def dependencies() -> None:
    notify(text="a", dependencies=[make()])  # type: ignore[call-arg]


def outputs() -> None:
    notify(text=make().outputs["number"])  # type: ignore[attr-defined]


def set_output() -> None:
    made: Any = make()
    made.number = 1


def list_before_function() -> None:
    couler.map(["a"], lambda each: notify(text=each))


def body_without_a_step() -> None:
    couler.map(lambda each: notify, ["a"])


def out_of_a_loop() -> None:
    kept: list[Any] = []
    couler.map(lambda each: kept.append(gate(number=each)), [1, 2])
    notify(text=kept[0].note)


def text_out_of_a_loop() -> None:
    kept: list[Any] = []
    couler.map(lambda each: (notify(text="a"), kept.append(gate(number=each)))[0], [1, 2])
    notify(text=f"at {kept[0].note}")


def item_out_of_a_loop() -> None:
    kept: list[Any] = []
    couler.map(lambda each: (kept.append(each), notify(text=each))[1], ["a", "b"])
    notify(text=f"at {kept[0]}")


def condition_on_an_item_out_of_a_loop() -> None:
    kept: list[Any] = []
    couler.map(lambda each: (kept.append(each), notify(text=each["a"]))[1], [{"a": "b"}])
    couler.when(couler.equal(kept[0]["a"], "b"), lambda: notify(text="a"))


def out_of_a_repetition() -> None:
    kept: list[Any] = []

    def once() -> Any:
        kept.append(gate(number=1))
        return kept[0].result

    couler.exec_while(couler.equal("failed"), once)
    notify(text=kept[0].note)


def handler_without_lambda() -> None:
    on_exit(notify(text="a"))


def unknown_of_the_ending() -> None:
    on_exit(lambda end: notify(text=end.state))  # type: ignore[attr-defined]


def end_of_python() -> None:
    notify(text="a")
    sys.exit(0)


@pytest.mark.parametrize(
    ("program", "fragment"),
    [
        (unknown_verb, "couler has no 'run_contaner'; did you mean 'run_container'?"),
        (unknown_policy, "image_pull_policy: 'Often' is none of IfNotPresent, Always, Never"),
        (nothing_came_back, "nothing comes back from couler.when"),
        (bad_step_name, "step_name: 'DUP_b.c' is no name; write letters, digits and '-'"),
        (called_too_much, "and a function: lambda: step(...); the other case is a couler.when of its own"),
        (component_itself, "wants text, got the function make itself; call it, make(...)"),
        (component_for_artifact, "wants a file artifact, got the function make itself; call it, make(...)"),
        (a_lambda, "wants text, got a lambda; write the value itself"),
        (arrows, "dependencies=[earlier])"),
        (after, "'notify' has no output 'after'; a step waits for those whose outputs it takes"),
        (dependencies, "undeclared input 'dependencies'; a step waits for those whose outputs it takes"),
        (outputs, "'make' has no output 'outputs'; an output is an attribute of the step itself"),
        (set_output, "'number' is not set here"),
        (list_before_function, "couler.map takes the function first"),
        (body_without_a_step, "calls no step; call a component in it"),
        (out_of_a_loop, "is of a step inside of couler.map, and is read outside of it; read what couler.map"),
        (text_out_of_a_loop, "output 'note' of 'gate' is of a step inside of couler.map"),
        (item_out_of_a_loop, "'notify-2' takes the item of a couler.map outside of its body"),
        (condition_on_an_item_out_of_a_loop, "'notify-2' takes the item of a couler.map outside of its body"),
        (out_of_a_repetition, "what couler.exec_while returns, which has the outputs of the last round"),
        (handler_without_lambda, "; write on_exit(lambda end: step(...))"),
        (unknown_of_the_ending, "the ending has no 'state'; it has end.status and end.failed"),
        (end_of_python, "sys.exit(0) ends Python while the pipeline is composed; write 'return'"),
        (undeclared_input, "gate() got an undeclared input 'leest'; did you mean 'least'?"),
        (missing_input, "gate() misses the input 'number' (int)"),
        (two_values, "gate() got two values for the input 'number'"),
        (too_many, "notify() takes 1 input, 2 were given"),
        (wrong_type, "the input 'number' wants a whole number, got 'three'"),
        (wrong_type_of_output, "the input 'number' wants a whole number, got output 'note' of 'gate' (str)"),
        (
            parameter_for_artifact,
            "the input 'model' wants a file artifact, got output 'number' of 'make' (int)",
        ),
        (artifact_for_parameter, "the input 'text' wants text, got output 'model' of 'make' (file)"),
        (text_for_artifact, "the input 'model' wants a file artifact, got 'model.onnx'"),
        (unknown_output, "'make' has no output 'nomber'; did you mean 'number'?"),
        (no_outputs, "'notify' has no output 'result'; it has none"),
        (python_if, "has no value while the pipeline is composed"),
        (unknown_dependency, "'notify' depends on 'maek', which is no task"),
    ],
)
def test_the_message_names_the_mistake_and_the_line(program: Callable[[], Any], fragment: str) -> None:
    with pytest.raises(ComposeError) as caught:
        compile(pipeline(name="p")(program))
    message = str(caught.value)
    assert fragment in message
    assert "\n" not in message
    place = message.split(": ")[0]
    file, _, line = place.rpartition(":")
    assert file.endswith("tests/compose/test_mistakes.py")
    first = program.__code__.co_firstlineno
    assert first < int(line) <= max(line for *_, line in program.__code__.co_lines() if line)


def test_a_pipeline_without_steps_is_refused() -> None:
    with pytest.raises(ComposeError, match="no step"):
        compile(pipeline(name="empty")(lambda: None))


def test_a_pipeline_is_not_called() -> None:
    with pytest.raises(
        UsageError, match=r"empty is a pipeline, and runs by .argosy run \S*tests/compose/test_mistakes.py.;"
    ):
        pipeline(name="empty")(lambda: None)()


def in_a_thread() -> None:
    thread = threading.Thread(target=lambda: notify("a"))
    thread.start()
    thread.join()


def in_a_pool() -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(notify, ["a", "b"]))


def in_a_pool_that_nobody_asks() -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(notify, "a")
    notify("b")


def beside_an_event_loop() -> None:
    asyncio.run(asyncio.to_thread(notify, "a"))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "program", [in_a_thread, in_a_pool, in_a_pool_that_nobody_asks, beside_an_event_loop]
)
def test_a_call_in_a_thread_is_refused(program: Callable[[], None]) -> None:
    with pytest.raises(ComposeError, match=r"test_mistakes\.py:\d+: notify is called in a thread"):
        compile(pipeline(program))


def test_in_an_event_loop_of_its_own_thread_a_call_is_composed() -> None:
    async def one() -> None:
        notify("a")

    def program() -> None:
        asyncio.run(one())

    assert "notify" in str(compile(pipeline(program)))


def test_a_thread_that_was_there_before_runs_its_steps() -> None:
    compiling, done = threading.Event(), threading.Event()
    ran: list[str] = []

    def elsewhere() -> None:
        compiling.wait()
        note("here")
        done.set()

    @component(image="example/steps:1")
    def note(text: str) -> None:
        ran.append(text)

    def program() -> None:
        notify("a")
        compiling.set()
        assert done.wait(60)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    compile(pipeline(program))
    thread.join()
    assert ran == ["here"]
