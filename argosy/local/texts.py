"""Values as texts, and texts as lengths of time, as Argo writes and reads them."""

from __future__ import annotations

import json
import re
from typing import Any

from argosy.errors import ManifestError


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
