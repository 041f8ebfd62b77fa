"""A function's signature is the only source of a step's interface."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from argosy import Directory, File, Outputs
from argosy.declare.signature import read_interface
from argosy.errors import DeclarationError


class Result(NamedTuple):
    """What comes out.

    Attributes:
        score: between 0 and 1.
    """

    score: float
    model: Annotated[File, "model.onnx"]


@dataclass
class Classed:
    """A result that is no NamedTuple."""

    score: float


def good(run_id: str, data: Directory, times: int = 2, note: str | None = None) -> Result:
    """Do it.

    At length.

    Args:
        run_id: which run,
            on two lines.
    """
    raise NotImplementedError


def test_interface_of_a_good_function() -> None:
    interface = read_interface(good)
    assert interface.name == "good"
    assert interface.summary == "Do it."
    assert interface.description == "At length."
    assert [p.argo_name for p in interface.inputs] == ["run-id", "data", "times", "note"]
    assert interface.inputs[0].description == "which run, on two lines."
    assert [p.required for p in interface.inputs] == [True, True, False, False]
    assert [p.is_artifact for p in interface.inputs] == [False, True, False, False]
    assert interface.inputs[3].default_text == ""
    assert interface.outputs[0].description == "between 0 and 1."
    assert interface.outputs[1].file_name == "model.onnx"


def test_outputs_in_place() -> None:
    def step() -> Outputs(result=str, model=File):  # type: ignore[valid-type]
        raise NotImplementedError

    assert [p.name for p in read_interface(step).outputs] == ["result", "model"]


def test_a_bare_type_is_one_output() -> None:
    def step() -> float:
        """Measure.

        Returns:
            how good it is.
        """
        raise NotImplementedError

    interface = read_interface(step)
    assert [(p.name, str(p.type), p.description) for p in interface.outputs] == [
        ("result", "float", "how good it is.")
    ]
    assert interface.bare


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (float, "float"),
        (list[Any], "list"),
        (list, "list"),
        (dict, "dict"),
        (dict[str, Any], "dict"),
        (File, "file"),
        (File | None, "file | none"),
        (Annotated[Directory, "d"] | None, "directory | none"),
        (Annotated[Directory | None, "d"], "directory | none"),
        (int | None, "int | none"),
    ],
)
def test_what_may_travel(hint: Any, kind: str) -> None:
    def step(a):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    step.__annotations__ = {"a": hint, "return": hint}
    interface = read_interface(step)
    assert [str(p.type) for p in (*interface.inputs, *interface.outputs)] == [kind, kind]


Untyped = namedtuple("Untyped", "b c")


def no_type(a) -> None: ...  # type: ignore[no-untyped-def]
def no_return(a: str): ...  # type: ignore[no-untyped-def]
def bare_bytes(a: str) -> bytes: ...  # type: ignore[empty-body]
def bare_tuple(a: str) -> tuple[str, int]: ...  # type: ignore[empty-body]
def bytes_in(a: bytes) -> None: ...
def keyed(a: dict[int, str]) -> None: ...
def nested(a: list[list[int]]) -> None: ...
def typed_values(a: dict[str, int]) -> None: ...
def plain_class(a: str) -> Callable[..., Any]: ...  # type: ignore[empty-body]
def output_twice(output_result: str) -> float: ...  # type: ignore[empty-body]
def helpless(help: str) -> None: ...
def optional_twice(optional_a: str, a: File | None = None) -> None: ...
def starred(*a: str) -> None: ...
def keywords(**a: str) -> None: ...
def positional(a: str, /) -> None: ...
def path(a: Path) -> None: ...
def union(a: int | str) -> None: ...
def wrong_default(a: int = "x") -> None: ...  # type: ignore[assignment]
def none_default(a: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
def none_for_list(a: list[int] = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
def untyped() -> Untyped: ...  # type: ignore[empty-body]
def artifact_default(a: File = Path("x")) -> None: ...
def unknown_name(a: "Nope") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def listed_files(files: list[File]) -> None: ...
def either(file: File | str) -> None: ...
def numbered(step: Literal[1, 2]) -> None: ...
def classed() -> Classed: ...  # type: ignore[empty-body]
def accented_input(é: str) -> None: ...
def accentué() -> None: ...
def long_default(a: str = "x" * 200_000) -> None: ...
def zero_default(a: str = "a\0b") -> None: ...
def slashed() -> Outputs(a=Annotated[File, "../a"]): ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "fragment"),
    [
        (no_type, "input 'a' has no type"),
        (no_return, "no return type"),
        (bare_bytes, "bytes; write 'File'"),
        (bare_tuple, "class Result\\(NamedTuple\\)"),
        (bytes_in, "'a' is bytes; write 'File' or 'Directory'"),
        (keyed, "has keys that are not text"),
        (nested, "write 'list'"),
        (typed_values, "write 'dict' or 'dict\\[str, Any\\]'"),
        (plain_class, "cannot travel as a parameter; write str, int, float"),
        (output_twice, "'--output-result' would mean two things"),
        (helpless, "'--help' would mean two things"),
        (optional_twice, "'--optional-a' would mean two things"),
        (starred, "\\*a cannot become an input"),
        (keywords, "\\*\\*a cannot become an input"),
        (positional, "positional-only a"),
        (path, "write 'File' or 'Directory'"),
        (union, "only 'T | None'"),
        (wrong_default, "the default of input 'a': 'x' is not a whole number"),
        (none_default, "None is not text; write 'a: str | None = None'"),
        (none_for_list, "; write 'a: list\\[int\\] | None = None'"),
        (untyped, "output 'b' has no type; declare 'class Untyped\\(NamedTuple\\)' with 'b: str'"),
        (artifact_default, "its only default is None: write 'a: File | None = None'"),
        (unknown_name, "Nope"),
        (slashed, "a plain name is wanted"),
        (long_default, "the default of input 'a' has 200000 bytes, and at most 130048 fit .* as a file"),
        (zero_default, "the default of input 'a' holds a NUL character"),
        (accented_input, "'é': Argo's names are letters without accents"),
        (accentué, "Argo's names are letters without accents, digits and '-'; give it name='...'"),
        (listed_files, "holds files one by one; write 'Directory'"),
        (either, "holds files one by one"),
        (numbered, "write Literal\\['1', '2'\\]"),
        (classed, "returns Classed; outputs have names: declare it as a NamedTuple"),
    ],
)
def test_refused_functions(function: Callable[..., Any], fragment: str) -> None:
    with pytest.raises(DeclarationError, match=fragment) as caught:
        read_interface(function)
    assert f"test_signature.py:{function.__code__.co_firstlineno}: {function.__name__}()" in str(caught.value)
