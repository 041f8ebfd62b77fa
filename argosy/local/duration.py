"""Durations as Argo writes them: `30`, `30s`, `2m`, `1h30m`, `500ms`."""

from __future__ import annotations

import re

from argosy.errors import ManifestError

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")


def seconds(value: str | int | float, where: str) -> float:
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
