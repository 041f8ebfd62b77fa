"""Every field of a manifest is known: obeyed, without meaning on one machine, or refused by name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.local.fields import IGNORED, REFUSED, USED
from argosy.manifest.scalars import as_text
from argosy.text import nearest

Raw = Mapping[str, Any]
"""A part of a manifest as it was read."""

_HARMLESS: tuple[Any, ...] = (None, False, [], "")


def check_fields(value: Any, kind: str, where: str) -> None:
    """Raise ManifestError for the first field under `value` that is unknown or cannot be obeyed here.

    `kind` is a key of `fields.USED`; `[]` before it means a list, a field `*` there any name. `where` begins
    the message.
    """
    if value is None:
        return
    if kind.startswith("[]"):
        for index, item in enumerate(expect_list(value, where)):
            check_fields(item, kind[2:], f"{where}{_label(item, index)}")
        return
    mapping = expect_mapping(value, where)
    for field, inside in mapping.items():
        _check_field(str(field), inside, kind, where)
        if child := USED[kind].get(str(field), USED[kind].get("*")):
            check_fields(inside, child, f"{where}.{field}")


def _check_field(field: str, value: Any, kind: str, where: str) -> None:
    if field in USED[kind] or "*" in USED[kind] or field in IGNORED.get(kind, ()):
        return
    refused = REFUSED.get(kind, {})
    advice = refused.get(field, refused.get("*"))
    if advice is None:
        known = [*USED[kind], *IGNORED.get(kind, ()), *REFUSED.get(kind, {})]
        raise ManifestError(f"{where}: no field '{field}'{nearest(field, known)}")
    if not any(value is harmless or value == harmless for harmless in _HARMLESS):
        raise ManifestError(f"{where}: '{field}' cannot be run on one machine: {advice}")


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


def flag(value: Any, default: bool, where: str) -> bool:
    """True or false; `default` where nothing is written. Raises ManifestError."""
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


def text_of(value: Any, where: str) -> str:
    """The text of a string, number or boolean. Raises ManifestError for anything else."""
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ManifestError(f"{where}: {value!r} is not text; put it in quotes")
    return as_text(value)


def optional_text(value: Any, where: str) -> str | None:
    """`text_of`, where None stays None."""
    return None if value is None else text_of(value, where)


def compact(value: Any) -> str:
    """JSON as Argo writes it into parameters: no spaces, no escapes for letters of other alphabets."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def item_text(value: Any) -> str:
    """A loop's item as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else compact(value)


_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")


def duration(value: str | int | float, where: str) -> float:
    """Seconds in `value`; a bare number is seconds. Raises ManifestError naming `where`."""
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        pass
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ManifestError(f"{where}: {value!r} is not a duration; write seconds, or like 30s, 2m, 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def bare(source: str) -> str:
    """The expression without the `{{=...}}` that it may stand in."""
    text = source.strip()
    return text[3:-2].strip() if text.startswith("{{=") and text.endswith("}}") else text
