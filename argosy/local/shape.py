"""The shape of a manifest: every field is one of Argo's and not refused here, every value of its type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.lint.schema import table
from argosy.local.fields import HEEDED, REFUSED
from argosy.text import nearest

Raw = Mapping[str, Any]
"""A part of a manifest as it was read."""

_HARMLESS: tuple[Any, ...] = (None, False, [], "")
_PORTS = ("inputs", "outputs", "arguments")


def check_fields(value: Any, wanted: str, where: str, port: str = "") -> None:
    """Raise ManifestError for the first field under `value` that Argo lacks, or that cannot be obeyed here.

    `wanted` is a type of the linter's schema. `where` begins the message, `port` is the `inputs`, `outputs`
    or `arguments` that it stands in. A workflow's templates are looked at one by one, when they are reached.
    """
    if value is None or wanted == "*":
        return
    if wanted[0] == "[":
        for index, item in enumerate(expect_list(value, where)):
            check_fields(item, wanted[1:], f"{where}{_label(item, index)}", port)
    elif wanted[0] == "{":
        for key, item in expect_mapping(value, where).items():
            check_fields(item, wanted[1:], f"{where}.{key}", port)
    elif (fields := table()["types"].get(wanted)) is None:
        _check_scalar(value, wanted, where)
    else:
        for field, inside in expect_mapping(value, where or "the manifest").items():
            if field not in fields:
                raise ManifestError(f"{where or 'the manifest'}: no field '{field}'{nearest(field, fields)}")
            refuse_field(field, inside, _refusal(field, wanted, port), where)
            if wanted != "WorkflowSpec" or field not in ("templates", "templateDefaults"):
                within = field if field in _PORTS else port
                check_fields(inside, fields[field], f"{where}.{field}".lstrip("."), within)


def _refusal(field: str, wanted: str, port: str) -> str | None:
    for kind in (wanted, f"{port}.{wanted}"):
        if kind in HEEDED and field not in HEEDED[kind][1]:
            return HEEDED[kind][0]
        if advice := REFUSED.get(kind, {}).get(field):
            return advice
    return None


def refuse_field(field: str, value: Any, advice: str | None, where: str) -> None:
    """Raise ManifestError for a field that cannot be obeyed here, if there is advice and it asks anything."""
    if advice and not any(value is harmless or value == harmless for harmless in _HARMLESS):
        raise ManifestError(f"{where}: '{field}' cannot be run on one machine: {advice}")


def _check_scalar(value: Any, wanted: str, where: str) -> None:
    if wanted == "b" and not isinstance(value, bool):
        raise ManifestError(f"{where}: true or false is expected, not {value!r}")
    if isinstance(value, Mapping | list) or (isinstance(value, float) and not math.isfinite(value)):
        raise ManifestError(f"{where}: {value!r} is not text; put it in quotes")


def _label(item: Any, index: int) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return f"[{name}]" if isinstance(name, str) else f"[{index}]"


def expect_mapping(value: Any, where: str) -> Mapping[str, Any]:
    """`value`, if it is a mapping; else ManifestError."""
    if not isinstance(value, Mapping):
        raise ManifestError(f"{where}: a mapping is expected, not {value!r}")
    return value


def expect_list(value: Any, where: str) -> list[Any]:
    """`value`, if it is a list (none given: empty); else ManifestError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ManifestError(f"{where}: a list is expected, not {value!r}")
    return value


def named(raw: Any, where: str) -> list[Raw]:
    """A list of mappings, each with a name of its own. Raises ManifestError."""
    seen: set[str] = set()
    items = expect_list(raw, where)
    for item in items:
        name = expect_mapping(item, where).get("name")
        if not isinstance(name, str) or not name:
            raise ManifestError(f"{where}: everything listed there needs a name that is text, not {name!r}")
        if name in seen:
            raise ManifestError(f"{where}: '{name}' is there twice")
        seen.add(name)
    return items


def positive(value: Any, where: str) -> int | None:
    """A whole number above 0, or None. Raises ManifestError for anything else."""
    if value is None:
        return None
    if not isinstance(value, int) or value < 1:
        raise ManifestError(f"{where}: {value!r} is not a whole number above 0")
    return value
