"""The catalogue for a terminal."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from argosy.catalogue.lines import facts, shown_default


def list_text(groups: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """One line a component, under the name of its group."""
    pairs = list(groups)
    width = max(len(d["name"]) for _, d in pairs)
    blocks = []
    for group, members in groupby(pairs, key=lambda pair: pair[0]):
        lines = [f"  {d['name']:<{width}}  {d['summary']}".rstrip() for _, d in members]
        blocks.append("\n".join([group, *lines]))
    return "\n\n".join(blocks)


def full_text(described: dict[str, Any]) -> str:
    """One component, whole."""
    blocks = [f"{described['name']}: {described['summary']}".rstrip(": ")]
    if described["description"]:
        blocks.append(described["description"])
    blocks.append(described["import"])
    inputs = [(p["name"], p["type"], shown_default(p), p["description"]) for p in described["inputs"]]
    outputs = [(p["name"], p["type"], p["description"]) for p in described["outputs"]]
    for title, rows in (("inputs", inputs), ("outputs", outputs), ("container", facts(described))):
        if rows:
            blocks.append("\n".join([title, *_columns(rows)]))
    return "\n\n".join(blocks)


def _columns(rows: list[Any]) -> list[str]:
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return [
        "  " + "  ".join([*(c.ljust(w) for c, w in zip(row[:-1], widths, strict=True)), row[-1]]).rstrip()
        for row in rows
    ]
