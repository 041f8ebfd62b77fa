"""A run as lines of text: what starts, what its steps say, what ends."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from argosy.local.console_style import describe
from argosy.local.follow import LogFollower
from argosy.local.node import Node, Phase
from argosy.text import one_line

_INTERVAL = 0.3
_LONGEST = 2000  # of a step's line, in characters; the log has all of it


class PlainLines:
    """One line a change of phase; the steps' own lines as `name | line`, while they run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._run_dir = Path()
        self._followed: dict[str, LogFollower] = {}
        self._logs: dict[str, str] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="logs", daemon=True)

    def begin(self, run_dir: Path) -> None:
        """Begin to follow the logs."""
        self._run_dir = run_dir
        self._thread.start()

    def on_node(self, node: Node) -> None:
        """Print a line for what started or ended, after what it said."""
        with self._lock:
            if node.log and self._logs.get(node.name) != node.log and not node.phase.is_final:
                self._print_log(node.name, last=True)  # of the attempt before this one
                self._logs[node.name] = node.log
                self._followed[node.name] = LogFollower(self._run_dir / node.log)
            if node.phase.is_final:
                self._print_log(node.name, last=True)
                self._followed.pop(node.name, None)
            if node.phase is not Phase.PENDING:
                self._console.print(describe(node, node.name))

    def end(self, nodes: Iterable[Node] = ()) -> None:
        """Stop following."""
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(_INTERVAL):
            with self._lock:
                for name in list(self._followed):
                    self._print_log(name)

    def _print_log(self, name: str, *, last: bool = False) -> None:
        follower = self._followed.get(name)
        for line in follower.lines(last=last) if follower else ():
            self._console.print(Text.assemble((f"  {one_line(name)} | ", "dim"), one_line(line, _LONGEST)))
