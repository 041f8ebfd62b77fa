"""Items of loops, and lists of their outputs."""

from __future__ import annotations

import pytest

from argosy.local.calls import aggregate, expand
from argosy.local.errors import NodeError
from argosy.local.job import Produced
from argosy.local.model import Loop
from argosy.local.scope import Scope


def items(loop: Loop) -> list[str]:
    return [item.variables["item"] for item in expand(loop, Scope())]


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        (
            Loop(items=("a", 1, 1.5, True, [1, "x"], {"k": 2})),
            ["a", "1", "1.5", "true", '[1,"x"]', '{"k":2}'],
        ),
        (Loop(param='["a", {"k": "v"}]'), ["a", '{"k":"v"}']),
        (Loop(param="[]"), []),
        (Loop(sequence={"count": "3"}), ["0", "1", "2"]),
        (Loop(sequence={"start": "2", "end": "4"}), ["2", "3", "4"]),
        (Loop(sequence={"start": "4", "end": "2"}), ["4", "3", "2"]),
        (Loop(sequence={"start": "9", "count": "2", "format": "v%02d"}), ["v09", "v10"]),
        (Loop(sequence={"count": "0"}), []),
    ],
)
def test_items(loop: Loop, expected: list[str]) -> None:
    assert items(loop) == expected


def test_names_and_fields_of_items() -> None:
    first, second = expand(Loop(items=("a", {"x": 1, "y": [2]})), Scope())
    assert (first.suffix, second.suffix) == ("(0:a)", "(1:x:1,y:[2])")
    assert second.variables["item.x"] == "1"


@pytest.mark.parametrize(
    ("loop", "says"),
    [
        (Loop(param="nope"), "not JSON"),
        (Loop(param='{"a": 1}'), "not a JSON list"),
        (Loop(sequence={"count": "two"}), "not a whole number"),
        (Loop(sequence={"count": "2", "format": "%s%s"}), "does not fit"),
        (Loop(sequence={"end": "999999999"}), "longer than"),
    ],
)
def test_lists_that_are_none(loop: Loop, says: str) -> None:
    with pytest.raises(NodeError, match=says):
        items(loop)


def test_outputs_become_lists() -> None:
    lists = aggregate([Produced({"p": "1"}, result='{"a":1}'), Produced({"p": "[2]"}, result="[2]")])
    assert lists["outputs.parameters.p"] == '["1","[2]"]'  # not all of them are JSON objects or lists
    assert lists["outputs.result"] == '[{"a":1},[2]]'
    assert lists["outputs.parameters"] == '[{"p":"1"},{"p":"[2]"}]'
