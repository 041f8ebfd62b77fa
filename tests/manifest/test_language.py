"""The language answers as the engine did.

`cases.jsonl` holds what a real controller's packages answered to conditions, expressions and texts with tags:
the value, or that it fails. `values.json` holds the values that the texts' names stand for.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import ArgosyError
from argosy.manifest import conditions, expressions, tags

HERE = Path(__file__).parent
CASES = [json.loads(line) for line in (HERE / "cases.jsonl").read_text().splitlines()]
VALUES: dict[str, dict[str, str]] = json.loads((HERE / "values.json").read_text())


def answer(case: dict[str, Any]) -> Any:
    values = VALUES.get(case.get("env", ""), {})
    match case["kind"]:
        case "when":
            return conditions.evaluate(case["text"])
        case "expr":
            return comparable(expressions.evaluate(case["text"], values))
    return tags.render(case["text"], values)


def comparable(value: Any) -> Any:
    """A value as the cases write it: what JSON cannot hold is a text."""
    if isinstance(value, float) and math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def name_of(case: dict[str, Any]) -> str:
    return f"{case['kind']} {case['text']}"


@pytest.mark.parametrize("case", [case for case in CASES if "fails" not in case], ids=name_of)
def test_a_text_has_the_value_that_the_engine_gives_it(case: dict[str, Any]) -> None:
    value = answer(case)
    assert value == case["value"]
    assert isinstance(value, bool) == isinstance(case["value"], bool)


@pytest.mark.parametrize("case", [case for case in CASES if "fails" in case], ids=name_of)
def test_a_text_fails_where_the_engine_fails(case: dict[str, Any]) -> None:
    with pytest.raises(ArgosyError):
        answer(case)
