"""A run as a tree that is redrawn: each node with phase and duration, a running one with its last line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from argosy.local.console_fit import fitting
from argosy.local.console_style import describe
from argosy.local.follow import LogFollower
from argosy.local.node import Node, Phase
from argosy.local.progress import read_progress

_PER_SECOND = 4


class LiveTree:
    """Redraws itself a few times a second; the last state stays on the screen."""

    def __init__(self, console: Console, hint: str = "") -> None:
        self._live = Live(self, console=console, refresh_per_second=_PER_SECOND, transient=False)
        self._nodes: dict[str, Node] = {}
        self._logs: dict[str, tuple[str, LogFollower]] = {}
        self._said: dict[str, str] = {}
        self._run_dir = Path()
        self._hint = hint

    def begin(self, run_dir: Path) -> None:
        """Begin to draw."""
        self._run_dir = run_dir
        self._live.start()

    def on_node(self, node: Node) -> None:
        """Take note of a change; the next redraw shows it."""
        self._nodes[node.name] = node
        if node.log and node.phase is Phase.RUNNING and self._logs.get(node.name, ("",))[0] != node.log:
            self._logs[node.name] = (node.log, LogFollower(self._run_dir / node.log))

    def end(self, nodes: Iterable[Node] = ()) -> None:
        """Draw the last state, of these nodes where some are given, and stop."""
        self._nodes = {node.name: node for node in nodes} or self._nodes
        self._hint = ""
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        nodes, rest = fitting(list(self._nodes.values()), max(4, options.size.height - 2 - bool(self._hint)))
        branches: dict[str, Tree] = {"": Tree(Text("", "dim"), hide_root=True)}
        for node in nodes:  # a parent always appears before what is inside of it
            above = branches.get(node.parent, branches[""])
            branches[node.name] = above.add(self._line(node, options.max_width))
        for line in filter(None, (rest, self._hint)):
            branches[""].add(Text(line, "dim"))
        yield branches[""]

    def _line(self, node: Node, width: int) -> Text:
        line = describe(node, node.display_name)
        if node.phase is Phase.RUNNING and node.retry_at is None and node.name in self._logs:
            follower = self._logs[node.name][1]
            said = [*follower.lines(), follower.unfinished]
            self._said[node.name] = next((s for s in reversed(said) if s), self._said.get(node.name, ""))
            progress = read_progress(self._said[node.name])
            line.append("  ")
            line.append_text(progress.bar() if progress else Text(self._said[node.name], "dim"))
            line.truncate(max(20, width - 8), overflow="ellipsis")
        return line
