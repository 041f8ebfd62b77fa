"""Runs as plain data, whose fields docs/documents.md explains: in a line, in full, or two side by side.

The user's code is kept with a run so that two can be compared: the files of the project alone.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from argosy.code.project import OURS, find
from argosy.errors import UsageError
from argosy.local.node import PROGRAMS, Node
from argosy.local.runs.gates import gates
from argosy.local.runs.record import Record, size_of
from argosy.manifest.code import module_of

CODE_FILE = "code.json"
_LARGEST = 200_000  # bytes of a file that is kept


def summary(record: Record) -> dict[str, Any]:
    """A run in a line of a list."""
    seconds = record.seconds
    return {
        "run": record.run,
        "pipeline": record.pipeline,
        "startedAt": record.started_at or None,
        "finishedAt": record.head.get("finishedAt"),
        "seconds": None if seconds is None else round(seconds, 3),
        "phase": record.phase,
        "state": record.state,
        "message": record.problem or record.head.get("message", ""),
        "failed": [node.name for node in record.failed],
        "gates": {gate.step: gate.verdict for gate in gates(record)},
        "sizeBytes": record.size(),
        "runDir": str(record.folder),
    }


def details(record: Record) -> dict[str, Any]:
    """Everything that `argosy show` tells of a run."""
    return {
        **summary(record),
        "uid": record.head.get("uid"),
        "argosy": record.request.get("argosy"),
        "parameters": dict(record.head.get("parameters", {})),
        "outputs": record.outputs.to_dict(),
        "nodes": [{**node.to_dict(), "seconds": round(node.seconds, 3)} for node in record.nodes],
        "artifacts": [artifact for node in record.nodes for artifact in artifacts(record, node)],
        "gateRules": [gate.to_dict() for gate in gates(record)],
    }


def artifacts(record: Record, node: Node) -> list[dict[str, Any]]:
    """The artifacts that a node made: where they are and how large."""
    found = []
    for name, path in node.outputs.artifacts.items():
        place = record.place_of(path)
        size, exists = (None, None) if place is None else (size_of(place), place.exists())
        known = {"path": str(place or path), "sizeBytes": size, "exists": exists}
        found.append({"step": node.name, "name": name, **known})
    return found


def compare(one: Record, other: Record) -> dict[str, Any]:
    """The differences, as data: pairs of the two runs' values, None where a run has none."""
    first, second = _steps(one), _steps(other)
    return {
        "runs": [one.run, other.run],
        "phases": [one.phase, other.phase],
        "seconds": [one.seconds, other.seconds],
        "parameters": differing(one.head["parameters"], other.head["parameters"]),
        "gates": differing(_gates(one), _gates(other)),
        "outputs": differing(_outputs(first), _outputs(second)),
        "steps": differing(_phases(first), _phases(second)),
        "times": {
            name: [round(first[name].seconds, 3), round(second[name].seconds, 3)]
            for name in first
            if name in second and first[name].kind in PROGRAMS
        },
        "templates": differing(
            {name: str(body) for name, body in one.templates.items()},
            {name: str(body) for name, body in other.templates.items()},
        ),
        "code": _code(one, other),
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """By name the two values, where they are not the same."""
    names = dict.fromkeys([*one, *other])
    return {n: [one.get(n), other.get(n)] for n in names if one.get(n) != other.get(n)}


def _steps(record: Record) -> dict[str, Node]:
    return {node.name: node for node in record.nodes}


def _phases(steps: Mapping[str, Node]) -> dict[str, str]:
    return {name: node.phase.value for name, node in steps.items()}


def _outputs(steps: Mapping[str, Node]) -> dict[str, str]:
    return {
        f"{name}.{output}": value
        for name, node in steps.items()
        for output, value in node.outputs.parameters.items()
    }


def _gates(record: Record) -> dict[str, str]:
    found = {}
    for gate in gates(record):
        found[gate.step] = gate.verdict
        found |= {f"{gate.step}: {rule.rule.strip()}": rule.number for rule in gate.rules}
    return found


def _code(one: Record, other: Record) -> dict[str, list[str]] | None:
    """By file the lines of a unified diff; None where a run did not keep its code."""
    first, second = sources(one), sources(other)
    if first is None or second is None:
        return None
    found = {}
    for name in sorted({*first, *second}):
        before, after = first.get(name, ""), second.get(name, "")
        if before != after:
            lines = difflib.unified_diff(
                before.splitlines(), after.splitlines(), one.run, other.run, lineterm="", n=2
            )
            found[name] = list(lines)
    return found


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
