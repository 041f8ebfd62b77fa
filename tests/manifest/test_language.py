"""The language answers as the engine did.

`cases.jsonl` holds what a real controller's packages answered to conditions, expressions and texts with tags:
the value, or that it fails. `values.json` holds the values that the texts' names stand for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import ArgosyError
from argosy.manifest import conditions, expressions, tags


class _AnyWord(frozenset[str]):
    """The cases' tags begin with any word, where a manifest's begin with one of Argo's own."""

    def __contains__(self, word: object) -> bool:
        return True


@pytest.fixture(autouse=True)
def any_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tags, "ROOTS", _AnyWord())
    tags.parse.cache_clear()
    yield
    tags.parse.cache_clear()


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
    return tags.parse(case["text"]).render(values)


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


def is_left_alone(case: dict[str, Any]) -> bool:
    """Whether a manifest's text may hold it: a tag that is not closed, or a brace more than it needs."""
    return case["kind"] == "tags" and ("{{{" in case["text"] or "}}" not in case["text"])


def test_braces_that_the_engine_fails_at_are_text() -> None:
    for case in (case for case in CASES if "fails" in case and is_left_alone(case)):
        answer(case)


@pytest.mark.parametrize(
    "case", [case for case in CASES if "fails" in case and not is_left_alone(case)], ids=name_of
)
def test_a_text_fails_where_the_engine_fails(case: dict[str, Any]) -> None:
    with pytest.raises(ArgosyError):
        answer(case)
