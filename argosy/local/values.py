"""Scalars of YAML as the text that Argo makes of them."""

from __future__ import annotations

import json
import math
from typing import Any

from argosy.errors import ManifestError
from argosy.manifest.scalars import as_text


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
