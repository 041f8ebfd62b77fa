"""The nodes of a workflow in a cluster, from its status."""

import base64
import binascii
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

FINISHED = ("Succeeded", "Failed", "Error")


@dataclass(frozen=True)
class Node:
    """One node: a pod, a DAG, an attempt, a skipped step.

    Attributes:
        id, parent: of this node and of the one that it stands in; a parent of "" is none.
        name: as in the manifest.
        phase: Argo's.
        message: the controller's.
        started, finished: seconds since 1970, or None.
    """

    id: str
    parent: str
    name: str
    phase: str
    message: str = ""
    started: float | None = None
    finished: float | None = None


def phase_of(workflow: Mapping[str, Any]) -> str:
    """The workflow's phase; "Pending" until the controller has seen it."""
    return str((workflow.get("status") or {}).get("phase") or "Pending")


def nodes_of(workflow: Mapping[str, Any]) -> list[Node]:
    """The nodes, each after the one that it stands in, otherwise in the order of their start.

    None where the controller keeps them in a database of its own.
    """
    raw = _raw_nodes(workflow.get("status") or {})
    parents = _parents(raw)
    name = workflow.get("metadata", {}).get("name", "")
    nodes = {i: _node(i, parents.get(i, ""), content, name) for i, content in raw.items()}
    children: dict[str, list[Node]] = {}
    for node in nodes.values():
        children.setdefault(node.parent if node.parent in nodes else "", []).append(node)
    ordered: list[Node] = []
    pending = _by_start(children.get("", []))
    while pending:
        node = pending.pop()
        ordered.append(node)
        pending += _by_start(children.get(node.id, []))
    return ordered


def _by_start(nodes: list[Node]) -> list[Node]:
    return sorted(nodes, key=lambda n: (n.started or float("inf"), n.name), reverse=True)


def _raw_nodes(status: Mapping[str, Any]) -> dict[str, Any]:
    if packed := status.get("compressedNodes"):
        try:
            unpacked: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
        except (binascii.Error, OSError, EOFError, ValueError):
            return {}
        return unpacked
    return status.get("nodes") or {}


def _parents(raw: Mapping[str, Any]) -> dict[str, str]:
    """The boundary of each node; an attempt, or an item of a loop, stands in the node of its step."""
    parents = {i: content.get("boundaryID", "") for i, content in raw.items()}
    for i, content in raw.items():
        if content.get("type") in ("Retry", "TaskGroup"):
            parents |= {
                child: i
                for child in content.get("children") or ()
                if _is_attempt(content, raw.get(child, {}))
            }
    return parents


def _is_attempt(group: Mapping[str, Any], child: Mapping[str, Any]) -> bool:
    return str(child.get("name", "")).startswith(str(group.get("name")) + "(")


def _node(node_id: str, parent: str, content: Mapping[str, Any], workflow: str) -> Node:
    return Node(
        id=node_id,
        parent=parent,
        name=str(content.get("displayName") or content.get("name") or workflow),
        phase=str(content.get("phase") or "Pending"),
        message=" ".join(str(content.get("message") or "").split()),
        started=_seconds(content.get("startedAt")),
        finished=_seconds(content.get("finishedAt")),
    )


def _seconds(text: Any) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
