"""A document against the table of `schema.json`: unknown fields, types, enumerations, quantities."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from argosy.declare.fields import INT32
from argosy.lint.names import refused
from argosy.lint.registry import MAX_FINDINGS
from argosy.manifest.scalars import as_text
from argosy.manifest.tree import Map, Path, Seq

_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?", re.ASCII)
EXACT = ("WorkflowStep",)  # Argo reads these by hand, and minds the case
_NAMES = {
    "s": "a text",
    "b": "true or false",
    "i": "an integer",
    "i32": "an integer",
    "u": "an integer",
    "n": "a number",
    "is": "an integer or a text",
}


# The smallest and the largest integer that fits, by type; Kubernetes' integers or texts have 32 bits.
RANGES = {"i": (-(2**63), 2**63 - 1), "u": (0, 2**64 - 1), "i32": INT32}
RANGES["is"] = RANGES["i32"]


@dataclass(frozen=True)
class Defect:
    """One place where the document differs from the schema. `kind` chooses the rule that reports it.

    `value` is what stands there; of an unquoted number or boolean, how it is written.
    """

    kind: str  # unknown, case, type, null, name, range, enum, quantity, unquoted, rewritten, required
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

    A defect with one remedy is mended in the tree once it is reported, so that whoever looks later finds the
    intended value: a field that differs in case only has its right name, and an unquoted number is a text.
    """
    found: list[Defect] = []
    stack: list[tuple[Any, str, Path, Any]] = [(root, kind, (), None)]
    types = table()["types"]
    while stack and len(found) < MAX_FINDINGS:
        value, wanted, path, parent = stack.pop()
        if wanted == "*":
            continue
        if value is None:
            found += [Defect("null", path, wanted)] if isinstance(parent, Seq) else []
            continue
        if wanted[0] == "[" and isinstance(value, Seq):
            stack.extend((v, wanted[1:], (*path, i), value) for i, v in reversed(list(enumerate(value))))
        elif wanted[0] == "{" and isinstance(value, Map):
            stack.extend((v, wanted[1:], (*path, k), value) for k, v in reversed(value.items()))
        elif wanted in types and isinstance(value, Map):
            found += _fields(value, wanted, path)
            fields = types[wanted]
            stack.extend((v, fields[k], (*path, k), value) for k, v in reversed(value.items()) if k in fields)
        elif wanted == "s" and isinstance(value, bool | int | float):
            found.append(Defect("unquoted", path, wanted, _quoted(parent, path[-1], value)))
        elif wanted == "a" and (as_written := rewritten(parent, path[-1])):
            found.append(Defect("rewritten", path, wanted, as_written, (as_text(value),)))
        else:
            found += _scalar(value, wanted, path)
    return found


def rewritten(parent: Map | Seq | None, key: Any) -> str:
    """How a value is written, if Argo makes another text of it; else the empty string."""
    if parent is None or key not in parent.written:
        return ""
    written = parent.written[key]
    value = parent[key]
    return written if value is not None and as_text(value) != written else ""


def _quoted(parent: Map | Seq, key: Any, value: bool | int | float) -> str:
    """Make the value a text, as it is written; returns that text."""
    text = parent.written.get(key) or as_text(value)
    parent[key] = text
    return text


def _fields(value: Map, wanted: str, path: Path) -> Iterator[Defect]:
    fields = table()["types"][wanted]
    for key in [k for k in value if k not in fields]:
        canonical = next((f for f in fields if f.lower() == key.lower() and f not in value), None)
        canonical = None if wanted in EXACT else canonical
        if canonical is None:
            yield Defect("unknown", (*path, key), wanted, key, tuple(fields))
        else:
            places = value.marks.pop(key), value.value_marks.pop(key)
            value.put(canonical, value.pop(key), *places, value.written.pop(key, None))
            yield Defect("case", (*path, canonical), wanted, key, (canonical,))
    for where, problem in refused(value, wanted):
        yield Defect("name", (*path, *where), wanted, problem)
    for field in table()["required"].get(wanted, ()):
        if value.get(field) is None:
            yield Defect("required", (*path, field), wanted)


def _scalar(value: Any, wanted: str, path: Path) -> Iterator[Defect]:
    text, number = isinstance(value, str), isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and value == int(value)  # in JSON, 5400.0 is 5400
    if wanted.startswith("e:"):
        allowed = tuple(wanted[2:].split("|"))
        if not text or (value and value not in allowed and "{{" not in value):
            yield Defect("enum", path, wanted, value, allowed)
    elif wanted == "q":
        if not (number or (text and _QUANTITY.fullmatch(value.strip()))):
            yield Defect("quantity", path, wanted, value)
    elif not _fits(wanted, text, number, whole, value):
        yield Defect("type", path, wanted, value)
    elif number and wanted in RANGES and not RANGES[wanted][0] <= value <= RANGES[wanted][1]:
        yield Defect("range", path, wanted, value)


def _fits(wanted: str, text: bool, number: bool, whole: bool, value: Any) -> bool:
    if wanted == "b":
        return isinstance(value, bool)
    if wanted == "a":
        return not isinstance(value, Map | Seq)
    if wanted in RANGES:
        return whole or (text and wanted == "is")
    return {"s": text, "n": number}.get(wanted, False)


def conformed(value: Any, wanted: str) -> Any:
    """Python's loose values as Argo takes them: a copy in which texts are texts and integers integers.

    `wanted` is a type of the table, such as "Template". A fraction where Argo counts whole seconds or tries
    becomes the nearest integer, and not 0; a number or a boolean where Argo has a text becomes that text.
    """
    types = table()["types"]
    if isinstance(value, dict):
        of_all, fields = wanted[1:] if wanted[0] == "{" else "*", types.get(wanted, {})
        return {k: conformed(v, fields.get(k, of_all)) for k, v in value.items()}
    if isinstance(value, list):
        return [conformed(v, wanted[1:] if wanted[0] == "[" else "*") for v in value]
    if wanted == "s" and isinstance(value, bool | int | float):
        return as_text(value)
    if wanted in RANGES and isinstance(value, float) and math.isfinite(value):
        return round(value) or math.ceil(value)
    return value


def describe(wanted: str) -> str:
    """A type in words: `[s` is "a list of texts"."""
    if wanted[0] == "[":
        return "a list"
    if wanted[0] in "{" or wanted in table()["types"]:
        return "a mapping"
    return _NAMES.get(wanted, "a text")
