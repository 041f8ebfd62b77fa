"""The user's code of a run, kept with it so that two runs can be compared: the project's files alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from argosy.code.project import OURS, find
from argosy.errors import UsageError
from argosy.local.runs.record import Record
from argosy.manifest.code import module_of

CODE_FILE = "code.json"
_LARGEST = 200_000  # bytes of a file that is kept


def code_of(templates: Iterable[Mapping[str, Any]], folders: Iterable[str]) -> dict[str, str]:
    """The project's Python files that the templates' modules need, by name; nothing of Argosy's own."""
    modules = sorted({m for t in templates if (m := module_of(t)) and m.partition(".")[0] != OURS})
    try:
        found = find(modules, folders)
    except UsageError:
        return {}
    return {
        name: path.read_text("utf-8", errors="replace")
        for name, path in sorted(found.files.items())
        if name.endswith(".py") and name.partition("/")[0] != OURS and path.stat().st_size <= _LARGEST
    }


def sources(record: Record) -> dict[str, str] | None:
    """The code as `code_of` told it when the run was asked for; None where that was not kept."""
    try:
        content = json.loads((record.folder / CODE_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    sound = isinstance(content, dict) and all(isinstance(text, str) for text in content.values())
    return content if sound else None
