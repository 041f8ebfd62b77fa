"""Argo's conditions in the few words that a drawing has room for."""

import re

from argosy.catalogue.graph import Way
from argosy.manifest.depends import references

_TAG = re.compile(r"\"?'?\{\{=?\s*(?P<path>[^}]*?)\s*\}\}'?\"?")
_SOURCE = re.compile(r"\b(?:tasks|steps)\.([A-Za-z0-9_-]+)\.")
_FAILURES = {"Failed", "Errored", "Daemoned"}


def sources_of(text: str) -> tuple[str, ...]:
    """The tasks whose outputs a condition looks at."""
    return tuple(dict.fromkeys(_SOURCE.findall(text)))


def short(text: str) -> str:
    """`{{tasks.promote.outputs.parameters.result}} == passed` is `result == passed`.

    A condition on several tasks says which: `promote.result == passed && check.result == passed`.
    """
    several = len(sources_of(text)) > 1

    def name(match: re.Match[str]) -> str:
        words = match["path"].split(".")
        if words[0] in ("tasks", "steps") and len(words) > 2:
            output = words[-1]
            return f"{words[1]}.{output}" if several else output
        return words[-1] if words[0] in ("inputs", "workflow") else match["path"]

    return " ".join(_TAG.sub(name, text).split())


def waits(depends: str) -> dict[str, Way]:
    """The tasks of a `depends` expression, and how each is waited for."""
    seen: dict[str, set[str]] = {}
    for name, status in references(depends):
        seen.setdefault(name, set()).add(status or "Succeeded")
    return {name: _way(statuses) for name, statuses in seen.items()}


def _way(statuses: set[str]) -> Way:
    if statuses <= _FAILURES:
        return "failure"
    return "success" if statuses == {"Succeeded"} else "any"
