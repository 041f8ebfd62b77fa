"""The run's folder and its `run.json`, from which an interrupted run continues.

`run.json` is replaced as a whole after every change, so that a kill at any moment leaves the old or the new
state. Intermediate states are not synced to disk: they have to survive the death of the runner, not of the
machine.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from argosy.errors import UsageError
from argosy.runner.node import Node, Phase, now
from argosy.runner.reporter import Reporter

STATE_FILE = "run.json"


class RunState:
    """Nodes by name, in the order they appeared, kept on disk and told to a reporter."""

    def __init__(self, run_dir: Path, identity: dict[str, Any], reporter: Reporter) -> None:
        self.run_dir = run_dir
        self.identity = identity
        self.nodes: dict[str, Node] = {}
        self._reporter = reporter
        self._written: dict[str, str] = {}  # each node's JSON, so that a change costs one node's, not all

    def put(self, node: Node) -> Node:
        """Record a node's new state; returns it."""
        self._remember(node)
        self.save(Phase.RUNNING)
        self._reporter.on_node(node)
        return node

    def expect(self, nodes: Iterable[Node]) -> None:
        """Record nodes that wait, where nothing is known of them yet."""
        added = [node for node in nodes if node.name not in self.nodes]
        for node in added:
            self._remember(node)
            self._reporter.on_node(node)
        self.save(Phase.RUNNING)

    def kept(self, name: str) -> Node | None:
        """The node, if an earlier session of this run finished it with success."""
        node = self.nodes.get(name)
        return node if node and node.phase is Phase.SUCCEEDED else None

    def discard(self, name: str) -> None:
        """Forget a node, its attempts and everything inside of it."""
        self.empty(name)
        self.nodes.pop(name, None)
        self._written.pop(name, None)

    def empty(self, name: str) -> None:
        """Forget what is inside of a node that is about to run anew; it keeps its place in the order."""
        inside = (f"{name}.", f"{name}(")
        for known in [key for key in self.nodes if key.startswith(inside)]:
            del self.nodes[known], self._written[known]

    def in_order(self) -> tuple[Node, ...]:
        """All nodes, each followed by what is inside of it."""
        inside: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            inside.setdefault(node.parent, []).append(node)
        ordered: list[Node] = []
        stack = inside.get("", [])[::-1]
        while stack:
            node = stack.pop()
            ordered.append(node)
            stack.extend(inside.get(node.name, [])[::-1])
        return tuple(ordered)

    def restore(self, raw_nodes: list[dict[str, Any]]) -> None:
        """Take over an earlier session's nodes; those that did not succeed wait again."""
        for raw in raw_nodes:
            node = Node.from_dict(raw)
            if node.phase is not Phase.SUCCEEDED:
                node = Node(node.name, node.template, node.kind, parent=node.parent)
            self._remember(node)

    def close(self, phase: Phase, extra: Mapping[str, Any]) -> None:
        """Write the last state, synced; nodes of an earlier session that this one never met are dropped."""
        for name in [name for name, node in self.nodes.items() if not node.phase.is_final]:
            del self.nodes[name], self._written[name]
        self.save(phase, extra, sync=True)

    def save(self, phase: Phase, extra: Mapping[str, Any] | None = None, *, sync: bool = False) -> None:
        """Replace `run.json`."""
        head = {**self.identity, "phase": phase.value, "savedAt": now(), **(extra or {})}
        nodes = ",\n".join(self._written.values())
        text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "nodes": [\n{nodes}\n]}}\n'
        replace_file(self.run_dir / STATE_FILE, text, sync=sync)

    def _remember(self, node: Node) -> None:
        self.nodes[node.name] = node
        self._written[node.name] = json.dumps(node.to_dict(), ensure_ascii=False)


def replace_file(path: Path, text: str, *, sync: bool = True) -> None:
    """Write beside, then rename: a reader sees the old file or the new one."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)


def load(run_dir: Path) -> dict[str, Any]:
    """The state that an earlier session left. Raises UsageError if there is none, or it is not readable."""
    path = run_dir / STATE_FILE
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no run to resume in {run_dir}: it has no {STATE_FILE}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not the state of a run: {error}") from error
    if not isinstance(document, dict) or not {"name", "uid", "nodes"} <= document.keys():
        raise UsageError(f"{path} is not the state of a run")
    return document


def lock(run_dir: Path) -> int:
    """Take the folder until the returned descriptor is closed. Raises UsageError if another run has it."""
    descriptor = os.open(run_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"{run_dir} belongs to a run that is still going on") from error
    return descriptor
