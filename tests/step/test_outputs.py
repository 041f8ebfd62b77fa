"""What a step returns is checked whole before anything is written, and then put into its places."""

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest

from argosy import Directory, File, Outputs
from argosy.declare.signature import read_interface
from argosy.step.errors import StepError, UsageError
from argosy.step.interface import Interface
from argosy.step.outputs import check_places, hand_over
from argosy.step.values import MAX_BYTES


class Result(NamedTuple):
    score: float
    names: list[str]
    model: File


def fit() -> Result: ...  # type: ignore[empty-body]
def score() -> float: ...  # type: ignore[empty-body]
def silent() -> None: ...
def report() -> Outputs(report=File | None, folder=Annotated[Directory | None, "d"]): ...  # type: ignore
def free() -> Outputs(any=list[Any], more=dict): ...  # type: ignore[valid-type]


def give(function: Any, result: Any, folder: Path) -> dict[str, str]:
    interface = read_interface(function)
    return hand_over(interface, result, {p.name: folder / p.argo_name for p in interface.outputs})


def test_a_bare_type_is_one_output_named_result(tmp_path: Path) -> None:
    """As `-> float`."""
    interface = read_interface(score)
    assert ([p.name for p in interface.outputs], interface.bare) == (["result"], True)
    assert give(score, 0.5, tmp_path) == {"result": "0.5"}
    assert (tmp_path / "result").read_text() == "0.5"


def test_outputs_written_in_place_are_returned_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("x")
    result = Outputs(report=tmp_path / "r", folder=None)
    assert give(report, result, tmp_path / "out") == {"report": str(tmp_path / "r"), "folder": "none"}
    assert give(free, Outputs(any=["a"], more={}), tmp_path) == {"any": '["a"]', "more": "{}"}


@pytest.mark.parametrize(
    ("one", "other"), [("o", "o"), ("o", "./x/../o"), ("o", "o/x"), ("o/x", "o"), ("link/a", "real/a")]
)
def test_two_outputs_want_two_places(
    one: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the step begins: it may take hours."""
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("link").symlink_to("real")

    def step() -> Outputs(a=File, b=Directory): ...  # type: ignore[valid-type]

    interface = read_interface(step)
    with pytest.raises(
        UsageError, match="step: --output-b and --output-a name one place, or one inside of the other"
    ):
        check_places(interface, {"a": Path(one), "b": Path(other)})
    check_places(interface, {"a": Path("real/a"), "b": Path("real/ab")})
    check_places(interface, {"a": Path("real/a"), "b": None})
    check_places(interface, {"a": Path("/dev/null"), "b": Path("/dev/null")})


@pytest.mark.parametrize(
    ("function", "result", "line"),
    [
        (score, None, "score: output 'result': None is not a finite number: the function returned nothing"),
        (score, float("nan"), "score: output 'result': nan is not a finite number"),
        (score, float("-inf"), "score: output 'result': -inf is not a finite number"),
        (score, np.float32("nan"), "output 'result': nan is not a finite number"),
        (score, "0.5", "output 'result': '0.5' is not a finite number"),
        (score, True, "output 'result': True is not a finite number"),
        (score, 10**400, "is not a finite number"),
        (fit, None, "fit: returned nothing, but declares the outputs 'score', 'names', 'model'"),
        (fit, (1.0, [], "m"), "fit: returned (1.0, [], 'm'), but declares the outputs"),
        (fit, (1.0, [], "m"), "return Result(score=..., names=..., model=...)"),
        (free, ([], {}), "return Outputs(any=..., more=...)"),
        (free, Outputs(any=list, more=dict), "but declares the outputs 'any', 'more'"),
        (fit, Result(1.0, ["a", 1], Path("m")), "output 'names': ['a', 1] is not a JSON list of str"),  # type: ignore[list-item]
        (fit, Result(1.0, [], Path("nowhere")), "fit: output 'model': there is no file at 'nowhere'"),
        (fit, Result(1.0, [], Path("/")), "output 'model': there is no file at '/', but a directory"),
        (fit, Result(1.0, [], None), "output 'model': None is not the path of a file artifact"),  # type: ignore[arg-type]
        (fit, Result(1.0, [], 3), "output 'model': 3 is not the path of a file artifact"),  # type: ignore[arg-type]
        (fit, Result(1.0, [], "a\0b"), "output 'model': "),  # type: ignore[arg-type]
        (silent, 5, "silent: returned 5, but declares '-> None'"),
        (free, SimpleNamespace(any=[float("nan")], more={}), "output 'any': [0]: nan is nothing that JSON"),
        (free, SimpleNamespace(any=[], more={"a": {1: 2}}), "has the key 1, and JSON's keys are text"),
        (free, SimpleNamespace(any=[], more={"a": [(1,)]}), "output 'more': ['a'][0]: (1,) is nothing"),
        (free, SimpleNamespace(any=np.zeros(2), more={}), "write '.tolist()'"),
    ],
)
def test_a_wrong_result_is_one_line_with_component_output_and_value(
    function: Any, result: Any, line: str, tmp_path: Path
) -> None:
    with pytest.raises(StepError) as caught:
        give(function, result, tmp_path)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (float, np.float64(0.5), "0.5"),
        (float, np.float32(0.5), "0.5"),
        (float, np.int64(2), "2.0"),
        (float, np.array(0.25), "0.25"),
        (float, pd.Series([0.5, 1.5]).mean(), "1.0"),
        (int, np.int8(-3), "-3"),
        (int, pd.Series([1, 2]).sum(), "3"),
        (bool, np.bool_(True), "true"),
        (str, np.str_("a"), "a"),
        (int | None, pd.NA, ""),
        (list[float], [np.float64(0.5), 1], "[0.5, 1]"),
        (list[Any], [np.int64(1), {"a": np.bool_(False)}, None], '[1, {"a": false}, null]'),
        (dict, {"x": [np.float32(0.5)]}, '{"x": [0.5]}'),
    ],
)
def test_scalars_of_numpy_and_pandas_count_as_what_they_are(
    hint: Any, value: Any, text: str, tmp_path: Path
) -> None:
    def step() -> Outputs(out=hint): ...  # type: ignore[valid-type]

    give(step, SimpleNamespace(out=value), tmp_path)
    assert (tmp_path / "out").read_text() == text


@pytest.mark.parametrize(
    ("hint", "value"), [(int, np.float64(2)), (int, np.bool_(True)), (float, np.bool_(True))]
)
def test_a_scalar_of_another_sort_is_refused(hint: Any, value: Any, tmp_path: Path) -> None:
    def step() -> Outputs(out=hint): ...  # type: ignore[valid-type]

    with pytest.raises(StepError, match="output 'out'"):
        give(step, SimpleNamespace(out=value), tmp_path)


def test_a_value_that_no_command_line_can_hold_is_refused_with_size_and_remedy(tmp_path: Path) -> None:
    def step() -> str: ...  # type: ignore[empty-body]

    give(step, "x" * MAX_BYTES, tmp_path)
    with pytest.raises(StepError) as caught:
        give(step, "☃" * MAX_BYTES, tmp_path)
    message = str(caught.value)
    assert message == (
        f"step: output 'result': the value has {3 * MAX_BYTES} bytes, and at most {MAX_BYTES} fit on a "
        f"step's command line: let it travel as a file (an artifact); it begins with '{'☃' * 30}'"
    )
    with pytest.raises(StepError, match="NUL"):
        give(step, "a\0b", tmp_path)


def test_an_optional_artifact_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    assert give(report, SimpleNamespace(report=None, folder=None), tmp_path / "o")["report"] == "none"
    assert not (tmp_path / "o").exists()
    give(report, SimpleNamespace(report=str(tmp_path / "mine"), folder=None), tmp_path / "o")
    assert (tmp_path / "o" / "report").read_text() == "x"


def test_the_same_path_may_be_returned_twice(tmp_path: Path) -> None:
    def step() -> Outputs(a=File, b=File): ...  # type: ignore[valid-type]

    mine = tmp_path / "mine"
    mine.write_text("x")
    give(step, SimpleNamespace(a=mine, b=mine), tmp_path / "o")
    assert [(tmp_path / p).read_text() for p in ("o/a", "o/b", "mine")] == ["x", "x", "x"]


def test_a_place_with_something_in_it_is_refused_before_the_step_begins(tmp_path: Path) -> None:
    interface: Interface = read_interface(report)
    (tmp_path / "folder").mkdir()
    places = {"report": None, "folder": tmp_path / "folder"}
    check_places(interface, places)
    (tmp_path / "folder" / "mine").write_text("x")
    with pytest.raises(UsageError, match="--output-folder: there is something in that folder"):
        check_places(interface, places)


def test_a_copy_that_fails_names_the_output_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocked").write_text("a file where a folder is wanted")
    (tmp_path / "m").write_text("x")
    with pytest.raises(StepError, match=r"fit: output 'score': cannot be put at '.*blocked/score'"):
        give(fit, Result(1.0, [], tmp_path / "m"), tmp_path / "blocked")
