"""Small readers that all of the parser uses; each names the place in what it raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.local.shape import expect_list, expect_mapping
from argosy.local.values import text_of

Raw = Mapping[str, Any]


def raw_data(raw: Raw, where: str) -> str | None:
    return (
        None
        if raw.get("raw") is None
        else text_of(raw["raw"].get("data", ""), f"{where}.{raw['name']}.raw.data")
    )


def named(raw: Any, where: str) -> list[Raw]:
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


def flag(value: Any, default: bool, where: str) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ManifestError(f"{where}: true or false is expected, not {value!r}")
    return value


def positive(value: Any, where: str) -> int | None:
    """A whole number above 0, or None. Raises ManifestError for anything else."""
    if value is None:
        return None
    if not isinstance(value, int) or value < 1:
        raise ManifestError(f"{where}: {value!r} is not a whole number above 0")
    return value
