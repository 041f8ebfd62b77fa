"""A document against the table of `schema.json`: unknown fields, types, enumerations, quantities."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from argosy.lint.limits import MAX_FINDINGS
from argosy.lint.tree import Map, Seq
from argosy.lint.violation import Path

_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?", re.ASCII)
EXACT = ("WorkflowStep",)  # Argo reads these by hand, and minds the case
_NAMES = {
    "s": "a text",
    "b": "true or false",
    "i": "an integer",
    "n": "a number",
    "is": "an integer or a text",
}


@dataclass(frozen=True)
class Defect:
    """One place where the document differs from the schema. `kind` chooses the rule that reports it."""

    kind: str  # unknown, case, type, enum, quantity, unquoted, required
    path: Path
    type: str
    value: Any = None
    allowed: tuple[str, ...] = ()


@cache
def table() -> dict[str, Any]:
    """The committed table."""
    loaded: dict[str, Any] = json.loads(FilePath(__file__).with_name("schema.json").read_text("utf-8"))
    return loaded


def check(root: Any, kind: str) -> list[Defect]:
    """Every difference between an object of `kind` and its schema.

    Argo reads most field names without regard to case. So a field that differs in case only is renamed in
    place, and reported as `case`: whoever looks later finds it under its right name.
    """
    found: list[Defect] = []
    stack: list[tuple[Any, str, Path]] = [(root, kind, ())]
    types = table()["types"]
    while stack and len(found) < MAX_FINDINGS:
        value, wanted, path = stack.pop()
        if value is None or wanted == "*":
            continue
        if wanted[0] == "[" and isinstance(value, Seq):
            stack.extend((v, wanted[1:], (*path, i)) for i, v in reversed(list(enumerate(value))))
        elif wanted[0] == "{" and isinstance(value, Map):
            stack.extend((v, wanted[1:], (*path, k)) for k, v in reversed(value.items()))
        elif wanted in types and isinstance(value, Map):
            found += _fields(value, wanted, path)
            fields = types[wanted]
            stack.extend((v, fields[k], (*path, k)) for k, v in reversed(value.items()) if k in fields)
        else:
            found += _scalar(value, wanted, path)
    return found


def _fields(value: Map, wanted: str, path: Path) -> Iterator[Defect]:
    fields = table()["types"][wanted]
    for key in [k for k in value if k not in fields]:
        canonical = next((f for f in fields if f.lower() == key.lower() and f not in value), None)
        canonical = None if wanted in EXACT else canonical
        if canonical is None:
            yield Defect("unknown", (*path, key), wanted, key, tuple(fields))
        else:
            value.put(canonical, value.pop(key), value.marks.pop(key), value.value_marks.pop(key))
            yield Defect("case", (*path, canonical), wanted, key, (canonical,))
    for field in table()["required"].get(wanted, ()):
        if value.get(field) is None:
            yield Defect("required", (*path, field), wanted)


def _scalar(value: Any, wanted: str, path: Path) -> Iterator[Defect]:
    text, number = isinstance(value, str), isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if wanted.startswith("e:"):
        allowed = tuple(wanted[2:].split("|"))
        if not text or (value and value not in allowed and "{{" not in value):
            yield Defect("enum", path, wanted, value, allowed)
    elif wanted == "q":
        if not (number or (text and _QUANTITY.fullmatch(value.strip()))):
            yield Defect("quantity", path, wanted, value)
    elif wanted == "s" and not text and not isinstance(value, Map | Seq):
        yield Defect("unquoted", path, wanted, value)
    elif not _fits(wanted, text, number, whole, value):
        yield Defect("type", path, wanted, value)


def _fits(wanted: str, text: bool, number: bool, whole: bool, value: Any) -> bool:
    if wanted == "b":
        return isinstance(value, bool)
    if wanted == "a":
        return not isinstance(value, Map | Seq)
    return {"s": text, "i": whole, "n": number, "is": text or whole}.get(wanted, False)


def describe(wanted: str) -> str:
    """A type in words: `[s` is "a list of texts"."""
    if wanted[0] == "[":
        return "a list"
    if wanted[0] in "{" or wanted in table()["types"]:
        return "a mapping"
    return _NAMES.get(wanted, "a text")
