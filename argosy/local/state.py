"""The state of a run's nodes while it goes on: in memory, on disk, told to a reporter."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from argosy.errors import UsageError
from argosy.local.job import Reporter
from argosy.local.journal import STATE_FILE, Journal, read_state
from argosy.local.node import Node, Phase, in_order, now

__all__ = ["STATE_FILE", "RunState", "load", "lock"]


class RunState:
    """Nodes by name, in the order they appeared, kept on disk and told to a reporter.

    Where the folder cannot be written any more (a full disk), `on_lost` is called once with the reason; what
    changes after that is known to the reporter alone.
    """

    def __init__(self, run_dir: Path, identity: dict[str, Any], reporter: Reporter) -> None:
        self.run_dir = run_dir
        self.identity = identity
        self.nodes: dict[str, Node] = {}
        self.on_lost: Callable[[str], None] = lambda _: None
        self._lost = False
        self._reporter = reporter
        self._journal = Journal(run_dir)
        self._written: dict[str, str] = {}  # each node's JSON
        self._changes: list[str] = []

    def put(self, node: Node) -> Node:
        """Record a node's new state; returns it."""
        self._remember(node)
        self.save()
        self._reporter.on_node(node)
        return node

    def expect(self, nodes: Iterable[Node]) -> None:
        """Record nodes that wait, where nothing is known of them yet."""
        added = [node for node in nodes if node.name not in self.nodes]
        for node in added:
            self._remember(node)
            self._reporter.on_node(node)
        self.save()

    def kept(self, name: str) -> Node | None:
        """The node, if an earlier session of this run finished it with success."""
        node = self.nodes.get(name)
        return node if node and node.phase is Phase.SUCCEEDED else None

    def discard(self, name: str) -> None:
        """Forget a node, its attempts and everything inside of it."""
        self.empty(name)
        self._forget([name])

    def empty(self, name: str) -> None:
        """Forget what is inside of a node that is about to run anew; it keeps its place in the order."""
        inside = (f"{name}.", f"{name}(")
        self._forget([key for key in self.nodes if key.startswith(inside)])

    def in_order(self) -> tuple[Node, ...]:
        """All nodes, each followed by what is inside of it."""
        return in_order(self.nodes.values())

    def restore(self, raw_nodes: list[dict[str, Any]]) -> None:
        """Take over an earlier session's nodes; those that did not succeed wait again."""
        for raw in raw_nodes:
            node = Node.from_dict(raw)
            if node.phase is not Phase.SUCCEEDED:
                node = Node(node.name, node.template, node.kind, parent=node.parent)
            self._remember(node)

    def close(self, phase: Phase, extra: Mapping[str, Any]) -> str:
        """Write the last state, synced; nodes of an earlier session that this one never met are dropped.

        Returns why that could not be done, or nothing.
        """
        self._forget([name for name, node in self.nodes.items() if not node.phase.is_final])
        head = {**self.identity, "phase": phase.value, "savedAt": now(), **extra}
        try:
            self._journal.replace(head, self._written.values(), last=True)
        except OSError as error:
            return self._unwritable(error)
        finally:
            self._journal.close()
        return ""

    def save(self) -> None:
        """Put what changed on disk."""
        if self._lost:
            return
        if self._journal.is_full:
            head = {**self.identity, "phase": Phase.RUNNING.value, "savedAt": now()}
            self._guarded(lambda: self._journal.replace(head, self._written.values()))
        elif self._changes:
            self._guarded(lambda: self._journal.add(self._changes))
        self._changes.clear()

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._lost = True
            self.on_lost(self._unwritable(error))

    def _unwritable(self, error: OSError) -> str:
        return f"the run's folder {self.run_dir} cannot be written: {error.strerror or error}"

    def _remember(self, node: Node) -> None:
        self.nodes[node.name] = node
        text = self._written[node.name] = json.dumps(node.to_dict(), ensure_ascii=False)
        self._changes.append(f'{{"node": {text}}}')

    def _forget(self, names: list[str]) -> None:
        known = [name for name in names if self.nodes.pop(name, None)]
        for name in known:
            del self._written[name]
        if known:
            self._changes.append(json.dumps({"forget": known}))


def load(run_dir: Path) -> dict[str, Any]:
    """The state that an earlier session left. Raises UsageError if there is none, or it is not readable."""
    if not (run_dir / STATE_FILE).exists():
        raise UsageError(f"there is no run to resume in {run_dir}: it has no {STATE_FILE}")
    return read_state(run_dir)


def lock(run_dir: Path) -> int:
    """Take the folder until the returned descriptor is closed. Raises UsageError if another run has it."""
    descriptor = os.open(run_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"{run_dir} belongs to a run that is still going on") from error
    with suppress(OSError):  # a full disk: then nobody can be told who has it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    return descriptor
