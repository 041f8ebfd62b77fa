"""Mistakes in a pipeline: one line each, naming the user's own line, when it is composed."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import couler.argo as couler
import pytest

from argosy import compile, component, pipeline
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
        (end_of_python, "sys.exit(0) ends Python while the pipeline is composed; write 'return'"),
        (undeclared_input, "gate() got an undeclared input 'leest'; did you mean 'least'?"),
        (missing_input, "gate() misses the input 'number' (int)"),
        (two_values, "gate() got two values for the input 'number'"),
        (too_many, "notify() takes 1 inputs, 2 were given"),
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
    assert first < int(line) <= first + 2


def test_a_pipeline_without_steps_is_refused() -> None:
    with pytest.raises(ComposeError, match="no step"):
        compile(pipeline(name="empty")(lambda: None))


def test_a_pipeline_is_not_called() -> None:
    with pytest.raises(UsageError, match="argosy run empty"):
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
