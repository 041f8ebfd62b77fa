"""What loops hand on: composed, and run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import couler.argo as couler
import pytest

from argosy import File, Stored, compile, component, pipeline
from argosy.errors import ComposeError
from argosy.lint import lint_manifest
from argosy.local import NullReporter, WorkflowResult, run_manifest
from tests.compose.gathering import awkward, count_down, fit, tell

ROOT = Path(__file__).parents[2]


def compiled(program: Callable[..., Any]) -> dict[str, Any]:
    manifest = compile(pipeline(name="p")(program))
    assert [v.message for v in lint_manifest(manifest) if v.is_error] == []
    return manifest


def templates_of(program: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in compiled(program)["spec"]["templates"]}


def task_of(program: Callable[..., Any], name: str) -> dict[str, Any]:
    return next(t for t in templates_of(program)["main"]["dag"]["tasks"] if t["name"] == name)


def ran(program: Callable[..., Any], folder: Path, **parameters: str) -> WorkflowResult:
    return run_manifest(
        compiled(program),
        parameters=parameters,
        run_dir=folder / "run",
        environment={"PYTHONPATH": str(ROOT)},
        reporter=NullReporter(),
    )


def got(result: WorkflowResult, name: str = "tell") -> Any:
    """What a `tell` says that it got."""
    node = next(n for n in result.nodes if n.name == name)
    return json.loads(node.outputs.parameters["got"])


def phases(result: WorkflowResult) -> dict[str, str]:
    return {n.name: n.phase.value for n in result.nodes}


def test_each_output_is_a_list_that_is_read_as_its_input_is_declared(tmp_path: Path) -> None:
    def program() -> None:
        fits = couler.map(lambda rate: fit(rate=rate), [0.1, 2.0, 1e-05])
        tell(floats=fits.score, texts=fits.name, ints=fits.number, flags=fits.good, any=fits.tags)
        tell.options(name="texts")(floats=fits.number, texts=fits.score, any=fits.sizes, text=fits.score)

    result = ran(program, tmp_path)
    assert got(result) == {
        "floats": [0.2, 4.0, 2e-05],
        "texts": ["x", "x", "x"],
        "ints": [0, 2, 0],
        "flags": [False, True, False],
        "any": [{"rate": 0.1}, {"rate": 2.0}, {"rate": 1e-05}],
    }
    assert got(result, "texts") == {
        "floats": [0.0, 2.0, 0.0],
        "texts": ["0.2", "4.0", "0.00002"],
        "any": [[0], [2], [0]],
        "text": '["0.2","4.0","0.00002"]',
    }


def test_values_inside_of_lists_and_dicts_arrive_as_they_are(tmp_path: Path) -> None:
    def program(word: str = "a \"b\" 'c' \\ {d}", number: int = 5) -> None:
        made = awkward()
        tell(
            config={
                "x": [made.text, made.number, made.share, {"deep": (made.flag, made.sizes, made.nothing)}],
                "word": word,
                "both": f"{word} and {made.text}",
                "number": number,
                "braces": "{{ of another }} }} 'language' {{workflow.serviceAccountName}}",
            },
            ints=[made.number, 7, number],
            texts=[made.text, "it's", f"no. {number}"],
        )

    result = ran(program, tmp_path)
    word, text = "a \"b\" 'c' \\ {d}", 'say "it\'s\\here"\n{é} <&>'
    assert got(result) == {
        "config": {
            "x": [text, 3, 0.5, {"deep": [True, [1, 2], None]}],
            "word": word,
            "both": f"{word} and {text}",
            "number": 5,
            "braces": "{{ of another }} }} 'language' default",
        },
        "ints": [3, 7, 5],
        "texts": [text, "it's", "no. 5"],
    }


def test_a_text_made_in_python_is_escaped_too_and_so_is_a_key(tmp_path: Path) -> None:
    """Also where nothing else in the dict is a value that is not there yet."""

    def program(word: str = 'a", "b": "\\ \'', number: int = 5, share: float = 0.5) -> None:
        tell(config={"x": f"{word}"}, texts=[number, share, f"{word}"])
        tell.options(name="keys")(config={f"{word}": 1, f"no. {number}": (1, 2)})

    result = ran(program, tmp_path)
    word = 'a", "b": "\\ \''
    assert got(result) == {"config": {"x": word}, "texts": ["5", "0.5", word]}
    assert got(result, "keys") == {"config": {word: 1, "no. 5": [1, 2]}}


def test_an_item_that_is_a_list_goes_on_as_a_whole(tmp_path: Path) -> None:
    def inner(item: Any) -> Any:
        return tell(texts=couler.map(lambda word: fit(rate=1.0, name=word), item).name)

    def program() -> None:
        told = couler.map(lambda item: tell(any=item, config={"v": item}), [[1, "a"], (2,)])
        tell.options(name="wholes")(any=told.got)
        tell.options(name="inner")(any=couler.map(inner, [["a", "b"], ["c"]]).got)

    result = ran(program, tmp_path)
    wholes = [{"any": items, "config": {"v": items}} for items in ([1, "a"], [2])]
    assert got(result, "wholes") == {"any": wholes}
    assert got(result, "inner") == {"any": [{"texts": ["a", "b"]}, {"texts": ["c"]}]}


def test_exec_while_takes_one_value_which_may_be_a_parameter(tmp_path: Path) -> None:
    def program(word: str = "go") -> None:
        couler.exec_while(couler.equal(word), lambda: count_down(start=2, counter=f"{tmp_path}/n").word)

    assert ran(program, tmp_path).succeeded
    assert (tmp_path / "n").read_text() == "0"

    def two(word: str = "go") -> None:
        couler.exec_while(couler.equal(word, "go"), lambda: count_down(start=2, counter="n").word)

    with pytest.raises(
        ComposeError, match=r"test_gathered\.py:\d+: .*give one value, as in couler.equal\('a'\)"
    ):
        compiled(two)


def test_a_body_of_several_steps_hands_on_what_it_returns(tmp_path: Path) -> None:
    class Scores(NamedTuple):
        first: Any
        second: Any

    def body(item: Any) -> Any:
        one = fit(rate=item["rate"], name=item["name"])
        return Scores(one.score, fit.options(name="two")(rate=one.score).score)

    def program() -> None:
        done = couler.map(body, [{"rate": 1.0, "name": "a"}, {"rate": 2.0, "name": "b"}])
        tell(floats=done.second, texts=done.first)

    assert got(ran(program, tmp_path)) == {"floats": [4.0, 8.0], "texts": ["2.0", "4.0"]}


def test_only_outputs_that_are_read_are_declared() -> None:
    def program(read: bool) -> dict[str, Any]:
        def body(rate: Any) -> Any:
            return fit.options(name="two")(rate=fit(rate=rate).score)

        def inner() -> None:
            done = couler.map(body, [1.0])
            if read:
                tell(texts=done.name)

        return templates_of(inner)["map-fit"]

    assert "outputs" not in program(read=False)
    source = {"parameter": "{{tasks.two.outputs.parameters.name}}"}
    assert program(read=True)["outputs"] == {"parameters": [{"name": "name", "valueFrom": source}]}


def test_loops_in_loops_hand_on_what_the_outer_body_makes(tmp_path: Path) -> None:
    def outer(letter: Any) -> Any:
        fits = couler.map(lambda rate: fit(rate=rate, name=f"{letter}{rate}"), [1.0, 2.0])
        return {"report": tell(floats=fits.score).got, "names": fits.name}

    def program() -> None:
        done = couler.map(outer, ["a", "b"])
        tell.options(name="all")(texts=done.report, any=done.names)

    assert got(ran(program, tmp_path), "all") == {
        "texts": ['{"floats":[2.0,4.0]}', '{"floats":[2.0,4.0]}'],  # JSON comes as compact JSON
        "any": [["a1.0", "a2.0"], ["b1.0", "b2.0"]],
    }


def test_an_inner_list_of_numbers_is_refused_with_the_remedy() -> None:
    def program() -> None:
        done = couler.map(lambda _: couler.map(lambda rate: fit(rate=rate), [1.0]), ["a"])
        tell(any=done.score)

    with pytest.raises(
        ComposeError, match=r"list of lists of texts.*as float: give the inner list to a step"
    ):
        compiled(program)


def test_a_loop_over_nothing_leaves_out_those_who_read_it(tmp_path: Path) -> None:
    def program(rates: list[float] = []) -> None:  # noqa: B006
        fits = couler.map(lambda rate: fit(rate=rate), rates)
        tell(floats=fits.score)
        couler.set_dependencies(lambda: tell.options(name="after")(text="x"), dependencies=[fits])

    result = ran(program, tmp_path)
    assert result.succeeded
    assert phases(result) == {"fit": "Skipped", "tell": "Omitted", "after": "Succeeded"}
    assert task_of(program, "tell")["depends"] == "fit.Succeeded"
    assert "ARG436" not in {v.code for v in lint_manifest(compiled(program))}  # nobody waits for ever


def test_a_loop_under_a_condition_that_does_not_hold(tmp_path: Path) -> None:
    def program(number: int = 1) -> None:
        fits: list[Any] = []

        def branch() -> None:
            fits.append(couler.map(lambda rate: fit(rate=rate), [1.0]))
            tell(floats=fits[0].score)

        couler.when(couler.bigger(number, 3), branch)
        after = tell.options(name="outside")(floats=fits[0].score)
        tell.options(name="later")(text=after.got)
        tell.options(name="always")(text="x")

    result = ran(program, tmp_path)
    found = phases(result)
    assert result.succeeded
    assert {n: found[n] for n in ("tell", "outside", "later", "always")} == {
        "tell": "Skipped",
        "outside": "Skipped",
        "later": "Omitted",
        "always": "Succeeded",
    }


def test_a_workflow_goes_on_with_the_items_that_succeeded(tmp_path: Path) -> None:
    def program() -> None:
        fits = couler.map(lambda rate: fit(rate=rate), [1.0, 200.0, 3.0])
        couler.set_dependencies(
            lambda: tell(floats=fits.score), dependencies=f"{fits}.Succeeded || {fits}.Failed"
        )

    result = ran(program, tmp_path)
    assert (result.succeeded, got(result)) == (True, {"floats": [2.0, 6.0]})


def test_a_failed_item_fails_the_workflow_otherwise(tmp_path: Path) -> None:
    def program() -> None:
        tell(floats=couler.map(lambda rate: fit(rate=rate), [1.0, 200.0]).score)

    result = ran(program, tmp_path)
    assert (result.succeeded, phases(result)["tell"]) == (False, "Omitted")


def test_exec_while_hands_on_its_last_round(tmp_path: Path) -> None:
    counter = str(tmp_path / "counter")

    def program() -> None:
        last = couler.exec_while(
            couler.equal("go"), lambda: [s := count_down(start=3, counter=counter), s.word][1]
        )
        tell(text=f"ended with {last.word}")

    assert got(ran(program, tmp_path)) == {"text": "ended with stop"}


def test_exec_while_hands_on_what_a_loop_in_its_body_gathered(tmp_path: Path) -> None:
    counter = str(tmp_path / "counter")

    def body() -> dict[str, Any]:
        fits = couler.map(lambda rate: fit(rate=rate), [1.0, 2.0])
        return {"word": count_down(start=2, counter=counter).word, "scores": fits.score}

    def program() -> None:
        last = couler.exec_while(couler.equal("go"), body)
        tell(floats=last.scores, texts=[last.word])

    assert got(ran(program, tmp_path)) == {"floats": [2.0, 4.0], "texts": ["stop"]}


def test_items_are_parts_of_what_the_program_says(tmp_path: Path) -> None:
    class Setting(NamedTuple):
        rate: float
        name: str

    def program(rates: list[float] = [0.25, 0.5]) -> None:  # noqa: B006
        made = awkward()
        one = couler.map(lambda s: fit(rate=s.rate, name=s.name), [Setting(1.0, "a"), Setting(2.0, "it's")])
        two = couler.map(lambda rate, name: fit(rate=rate, name=name), [3.0, made.share], ["c", made.text])
        three = couler.map(lambda rate: tell(config={"rate": rate, "say": f"r {rate}"}), rates)
        tell.options(name="all")(
            texts=one.name, floats=two.score, any=two.name, config={"names": two.name, "three": three.got}
        )

    text = 'say "it\'s\\here"\n{é} <&>'
    found = got(ran(program, tmp_path), "all")
    assert found["texts"] == ["a", "it's"]
    assert found["floats"] == [6.0, 1.0]
    assert found["any"] == found["config"]["names"] == ["c", text]
    assert found["config"]["three"] == [{"config": {"rate": r, "say": f"r {r}"}} for r in (0.25, 0.5)]


def test_steps_of_coulers_own_take_and_make_lists() -> None:
    def step(name: str, word: Any) -> Any:
        return couler.run_container(image="i:1", command=["c"], args=[word], step_name=name)

    def body(item: Any) -> Any:
        step("one", item)
        return couler.run_script(image="python:3", source="print(1)", step_name="two")

    def program() -> None:
        fits = couler.map(lambda rate: fit(rate=rate), [1.0])
        step("all", fits.score)
        step("bodies", couler.map(body, ["a"])[0])

    def word(name: str) -> str:
        return str(task_of(program, name)["arguments"]["parameters"][0]["value"])

    assert word("all") == "{{tasks.fit.outputs.parameters.score}}"
    assert word("bodies") == "{{tasks.map-one.outputs.parameters.result}}"
    assert templates_of(program)["map-one"]["outputs"]["parameters"][0]["valueFrom"] == {
        "parameter": "{{tasks.two.outputs.result}}"
    }


def test_a_value_in_the_environment_of_a_step_of_coulers_comes_through_an_input() -> None:
    def program(word: str = "w") -> None:
        made = awkward()
        couler.run_container(
            image="i:1", command=["c"], env={"A": word, "B": f"b {made.text}"}, step_name="s"
        )

    template = templates_of(program)["s"]
    assert [p["name"] for p in template["inputs"]["parameters"]] == ["word", "awkward-text"]
    assert template["container"]["env"] == [
        {"name": "A", "value": "{{inputs.parameters.word}}"},
        {"name": "B", "value": "b {{inputs.parameters.awkward-text}}"},
    ]
    assert task_of(program, "s")["arguments"]["parameters"] == [
        {"name": "word", "value": "{{inputs.parameters.word}}"},
        {"name": "awkward-text", "value": "{{tasks.awkward.outputs.parameters.text}}"},
    ]


@component(image="example/steps:1")
def keep(rate: float) -> NamedTuple("Kept", [("file", Annotated[File, Stored(key="models/one")])]):  # type: ignore[valid-type]
    """Keep a file under one key."""
    raise NotImplementedError


def a_file_of_a_loop() -> None:
    couler.run_container(
        image="i:1", args=[couler.map(lambda rate: fit(rate=rate), [1.0]).report], step_name="s"
    )


def one_key_for_all() -> None:
    couler.map(lambda rate: keep(rate=rate), [1.0, 2.0])


def a_bare_list_of_texts() -> None:
    tell(any=couler.map(lambda rate: fit(rate=rate), [1.0]).score)


def floats_into_ints() -> None:
    tell(ints=couler.map(lambda rate: fit(rate=rate), [1.0]).score)


def a_list_of_texts_in_a_dict() -> None:
    tell(config={"scores": couler.map(lambda rate: fit(rate=rate), [1.0]).score})


def a_conditional_output() -> None:
    def body(rate: Any) -> Any:
        first, second = fit(rate=rate), []
        couler.when(couler.bigger(first.score, 1), lambda: second.append(fit(rate=first.score)))
        return second[0]

    tell(floats=couler.map(body, [1.0]).score)


def a_bare_list_of_what_may_be_none() -> None:
    tell(any=couler.map(lambda rate: fit(rate=rate), [1.0]).maybe)


def an_output_of_the_outside() -> None:
    made = fit(rate=1.0)
    tell(floats=couler.map(lambda rate: (fit(rate=rate), made)[1], [1.0]).score)


def a_body_that_returns_a_constant() -> None:
    couler.map(lambda rate: (fit(rate=rate), 3)[1], [1.0])


def a_body_without_a_step() -> None:
    couler.map(lambda rate: None, [1.0])


def an_output_that_the_body_does_not_return() -> None:
    tell(floats=couler.map(lambda rate: fit(rate=rate).name, [1.0]).score)


def two_of_one_name() -> None:
    couler.map(lambda rate: [fit(rate=rate), fit(rate=rate)], [1.0])


def lists_of_two_lengths() -> None:
    couler.map(lambda rate, name: fit(rate=rate, name=name), [1.0], ["a", "b"])


def an_empty_inner_list() -> None:
    couler.map(lambda rates: couler.map(lambda rate: fit(rate=rate), rates), [[1.0], []])


def an_empty_list_in_a_part() -> None:
    couler.map(lambda i: couler.map(lambda rate: fit(rate=rate), i["rates"]), [{"rates": []}])


def a_set_as_an_item() -> None:
    couler.map(lambda _: fit(rate=1.0), [{1.0}])


def a_dict_that_holds_itself() -> None:
    config: dict[str, Any] = {"number": awkward().number}
    config["self"] = config
    tell(config=config)


def not_a_number_in_a_dict() -> None:
    tell(config={"number": awkward().number, "share": float("nan")})


def a_pair_as_a_key() -> None:
    tell(config={"number": awkward().number, (1, 2): "x"})  # type: ignore[dict-item]


def a_file_in_a_dict() -> None:
    tell(config={"report": fit(rate=1.0).report})


def no_function() -> None:
    couler.map(fit(rate=1.0), [1.0])


def a_list_in_a_condition() -> None:
    fits = couler.map(lambda rate: fit(rate=rate), [1.0])
    couler.when(couler.equal(fits.score, "1"), lambda: fit(rate=1.0))


@pytest.mark.parametrize(
    ("program", "fragment"),
    [
        (a_file_of_a_loop, "output 'report' of 'fit' is a file of each item, and Argo gathers values only"),
        (one_key_for_all, "each item would keep the output 'file' under the key 'models/one'"),
        (a_bare_list_of_texts, "come as text; declare the input 'any' as list[float]"),
        (
            a_bare_list_of_what_may_be_none,
            "as list[str], so that each is read as text, which is empty for None",
        ),
        (floats_into_ints, "wants a JSON list of int, got output 'score' of 'fit' (list[float])"),
        (a_list_of_texts_in_a_dict, "give it to an input of its own, declared as list[float]"),
        (a_conditional_output, "is of a step that runs under a condition"),
        (an_output_of_the_outside, "is of a step outside of the loop"),
        (a_body_that_returns_a_constant, "the body of the loop returns 3"),
        (a_body_without_a_step, "the body of couler.map calls no step"),
        (an_output_that_the_body_does_not_return, "has no output 'score'; there is: name"),
        (two_of_one_name, "returns two outputs called 'score'"),
        (lists_of_two_lengths, "equally long"),
        (an_empty_inner_list, "item 2 is an empty list, over which it runs nothing"),
        (an_empty_list_in_a_part, "item 1 is an empty list, over which it runs nothing"),
        (a_set_as_an_item, "which is no JSON"),
        (a_dict_that_holds_itself, "wants a JSON object, got one that holds itself"),
        (not_a_number_in_a_dict, "holds nan, which JSON does not know"),
        (a_pair_as_a_key, "the key (1, 2), and JSON's keys are text"),
        (a_file_in_a_dict, "is a file, which cannot stand inside of the dict 'config'"),
        (no_function, "takes a function that calls the steps, got <task fit>"),
        (a_list_in_a_condition, "a list[float] cannot be compared in a workflow"),
    ],
)
def test_what_a_loop_cannot_hand_on_is_refused(program: Callable[[], Any], fragment: str) -> None:
    with pytest.raises(ComposeError) as caught:
        compiled(program)
    message = str(caught.value)
    assert fragment in message
    assert message.startswith("tests/compose/test_gathered.py:")
    assert "\n" not in message


def test_a_pipeline_hands_on_what_its_loops_gathered(tmp_path: Path) -> None:
    class Result(NamedTuple):
        scores: list[float]
        word: str

    counter = str(tmp_path / "counter")

    def program(rates: list[float] = [1.0]) -> Result:  # noqa: B006
        fits = couler.map(lambda rate: fit(rate=rate), rates)
        last = couler.exec_while(couler.equal("go"), lambda: count_down(start=1, counter=counter).word)
        return Result(fits.score, last.word)

    program.__annotations__["return"] = Result
    full = ran(program, tmp_path, rates="[1.0, 2.0]")
    assert dict(full.outputs.parameters) == {"scores": '["2.0","4.0"]', "word": "stop"}
    (tmp_path / "counter").unlink()
    empty = ran(program, tmp_path / "empty", rates="[]")
    assert dict(empty.outputs.parameters) == {"scores": "[]", "word": "stop"}


def test_an_output_of_a_pipeline_has_its_declared_type() -> None:
    class Result(NamedTuple):
        scores: list[int]

    def program() -> Result:
        return Result(couler.map(lambda rate: fit(rate=rate), [1.0]).score)

    program.__annotations__["return"] = Result
    with pytest.raises(
        ComposeError,
        match=r"output 'scores' is declared as list\[int\], and output 'score' of 'fit' is list\[float\]",
    ):
        compiled(program)
