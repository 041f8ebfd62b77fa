"""Values travel as text and come back unaltered, or are refused."""

from enum import Enum
from http import HTTPStatus
from typing import Any, Literal

import pytest

from argosy.step.values import ValueType

HOSTILE = [
    "",
    " ",
    "-x",
    "--help",
    "a\nb",
    "$(id)",
    "`id`",
    "'\"",
    "{{inputs.parameters.x}}",
    "ünï",
    "\\",
    "a=b",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_survives(text: str) -> None:
    kind = ValueType.from_hint(str)
    assert kind.decode(kind.encode(text)) == text


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (int, -3, "-3"),
        (float, 1e-5, "1e-05"),
        (float, 2, "2.0"),
        (bool, True, "true"),
        (bool, False, "false"),
        (int | None, None, ""),
        (int | None, 7, "7"),
        (list[int], [1, 3, 224, 224], "[1, 3, 224, 224]"),
        (list[str], ["a", 'b"'], '["a", "b\\""]'),
        (dict[str, Any], {"a": [1]}, '{"a": [1]}'),
        (Literal["passed", "failed"], "passed", "passed"),
    ],
)
def test_round_trip(hint: Any, value: Any, text: str) -> None:
    kind = ValueType.from_hint(hint)
    assert kind.encode(value) == text
    assert kind.decode(text) == value


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (list[float], '["0.5", "1"]', [0.5, 1.0]),
        (list[int], '["3", 4]', [3, 4]),
        (list[bool], '["true", false]', [True, False]),
        (list[str], '["0.5", "1"]', ["0.5", "1"]),
        (list[float], "[]", []),
    ],
)
def test_elements_may_be_texts_as_argo_gathers_a_loops_outputs(hint: Any, text: str, value: Any) -> None:
    assert ValueType.from_hint(hint).decode(text) == value


class Colour(str, Enum):
    """An enumeration whose `str` is not its text."""

    RED = "red"


def test_a_subclass_travels_as_its_base() -> None:
    assert ValueType.from_hint(str).encode(Colour.RED) == "red"
    assert ValueType.from_hint(int).encode(HTTPStatus.OK) == "200"


@pytest.mark.parametrize("value", [10**5000, float("inf"), float("nan")], ids=["huge", "inf", "nan"])
def test_a_number_that_is_none_to_a_reader_is_not_written(value: Any) -> None:
    for hint in (float, list, list[float], int):
        with pytest.raises(TypeError):
            ValueType.from_hint(hint).encode(value if hint in (float, int) else [value])


@pytest.mark.parametrize(
    ("hint", "text", "fragment"),
    [
        (int, "3.0", "whole number"),
        (int, "", "whole number"),
        (float, "nan", "finite"),
        (float, "inf", "finite"),
        (float, "abc", "finite number"),
        (bool, "yes", "'true' or 'false'"),
        (list[int], "[1, 2.5]", "JSON list of int"),
        (list[int], "[true]", "JSON list of int"),
        (list[int], "1,2", "JSON list"),
        (list[int], "[" * 100_000, "JSON list"),
        (list[float], '["0.5", "x"]', "JSON list of float"),
        (list[float], '["nan"]', "JSON list of float"),
        (list[float], "[NaN]", "JSON list"),
        (list[float], "[1e999]", "JSON list of float"),
        (list[Any], "[Infinity]", "JSON list"),
        (dict[str, Any], '{"a": NaN}', "JSON object"),
        (dict[str, Any], "[]", "JSON object"),
        (Literal["a", "b"], "c", "one of 'a', 'b'"),
        (int | None, "x", "or empty"),
    ],
)
def test_refused_text(hint: Any, text: str, fragment: str) -> None:
    with pytest.raises(ValueError, match=fragment):
        ValueType.from_hint(hint).decode(text)


@pytest.mark.parametrize("hint", [int | str, bytes, object, list[list[int]], Literal[1, 2], tuple[int, int]])
def test_refused_types(hint: Any) -> None:
    with pytest.raises(TypeError):
        ValueType.from_hint(hint)


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (str, str, True),
        (int, str, True),
        (int, float, True),
        (float, int, False),
        (str, int, False),
        (int, int | None, True),
        (int | None, int, False),
        (int | None, str, True),
        (Literal["a"], Literal["a", "b"], True),
        (Literal["a", "b"], Literal["a"], False),
        (str, Literal["a"], False),
        (list[int], list[int], True),
        (list[str], list[int], False),
        (bool, int, False),
    ],
)
def test_what_feeds_what(source: Any, target: Any, fits: bool) -> None:
    assert ValueType.from_hint(source).feeds(ValueType.from_hint(target)) is fits


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-5, "0.00001"),
        (-2.5e-7, "-0.00000025"),
        (1e16, "10000000000000000.0"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (0.1, "0.1"),
        (3, "3.0"),
    ],
)
def test_a_number_is_written_as_a_condition_reads_it(number: float, text: str) -> None:
    assert ValueType(float).comparable(number) == text
    assert ValueType(float).decode(text) == number
