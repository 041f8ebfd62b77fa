"""Loops: from withItems, withParam and withSequence to items, and from the items' outputs to one list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from argosy.local.errors import NodeError, language
from argosy.local.job import Produced
from argosy.local.model import Loop
from argosy.local.scope import Scope
from argosy.local.shape import compact, item_text
from argosy.manifest.tags import carried

_LARGEST_SEQUENCE = 100_000


@dataclass(frozen=True, slots=True)
class Item:
    """One round of a loop: the suffix of its node's name, and its variables."""

    suffix: str
    variables: Mapping[str, str]


def expand(loop: Loop, scope: Scope) -> list[Item]:
    """The items of a loop, in order. Raises NodeError for a bad sequence or withParam."""
    if loop.items is not None:
        values = [_rendered(item, scope) for item in loop.items]
    elif loop.param is not None:
        values = _json_list(scope.render(loop.param))
    else:
        values = _sequence({key: scope.render(text) for key, text in (loop.sequence or {}).items()})
    return [_item(index, value) for index, value in enumerate(values)]


def aggregate(outputs: Sequence[Produced]) -> dict[str, str]:
    """`outputs.result`, `outputs.parameters`, `outputs.parameters.X` of a loop: JSON lists in item order.

    Results are JSON values; parameters are texts, unless each is a JSON object or list.

    Raises:
        NodeError: a result is no JSON.
    """
    names = dict.fromkeys(name for output in outputs for name in output.parameters)
    results = [_result(output.result) for output in outputs if output.result is not None]
    known = {
        "outputs.result": compact(results),
        "outputs.parameters": compact([dict(output.parameters) for output in outputs]),
    }
    for name in names:
        values = [output.parameters[name] for output in outputs if name in output.parameters]
        known[f"outputs.parameters.{name}"] = _values(values)
    return known


def _values(texts: Sequence[str]) -> str:
    decoded: list[Any] = []
    for text in texts:
        try:
            value = json.loads(text)
        except ValueError:
            return compact(list(texts))
        if not isinstance(value, dict | list):
            return compact(list(texts))
        decoded.append(value)
    return compact(decoded)


def _result(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise NodeError(
            f"the results of a loop are gathered as JSON, and an item printed {text[:60]!r}; "
            "print JSON, or pass an output parameter"
        ) from error


def _rendered(item: Any, scope: Scope) -> Any:
    if isinstance(item, str):
        return scope.render(item)
    if isinstance(item, list):
        return [_rendered(part, scope) for part in item]
    if isinstance(item, dict):
        return {key: _rendered(part, scope) for key, part in item.items()}
    return item


def _json_list(text: str) -> list[Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise NodeError(f"withParam is not JSON: {error}: {text[:200]!r}") from error
    if not isinstance(values, list):
        raise NodeError(f"withParam is not a JSON list: {text[:200]!r}")
    return values


def _sequence(spec: Mapping[str, str]) -> list[str]:
    numbers = {key: _whole(key, text) for key, text in spec.items() if key != "format"}
    start = numbers.get("start", 0)
    end = numbers["end"] if "end" in numbers else start + numbers["count"] - 1
    if numbers.get("count") == 0:
        return []
    step = 1 if start <= end else -1
    if abs(end - start) >= _LARGEST_SEQUENCE:
        raise NodeError(f"withSequence from {start} to {end} is longer than {_LARGEST_SEQUENCE}")
    try:
        return [spec.get("format", "%d") % number for number in range(start, end + step, step)]
    except (TypeError, ValueError) as error:
        raise NodeError(f"withSequence format {spec['format']!r} does not fit one number: {error}") from error


def _whole(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise NodeError(f"withSequence {field} is {text!r}, not a whole number") from error


def _item(index: int, value: Any) -> Item:
    text = item_text(value)
    with language():
        carried("item", text)
    variables = {"item": text}
    label = text
    if isinstance(value, dict):
        parts = {str(key): item_text(part) for key, part in value.items()}
        variables |= {f"item.{key}": part for key, part in parts.items()}
        label = ",".join(f"{key}:{part}" for key, part in sorted(parts.items()))
    return Item(f"({index}:{label})", variables)
