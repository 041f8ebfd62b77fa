"""Runs as plain data: the documents that `--output json` prints, whose fields docs/documents.md explains."""

from __future__ import annotations

from typing import Any

from argosy.local.node import Node
from argosy.local.runs.gates import gates
from argosy.local.runs.record import Record, size_of


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
