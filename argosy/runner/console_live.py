"""A run as a tree that is redrawn: each node with phase and duration, a running one with its last line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from argosy.runner.console_style import describe
from argosy.runner.follow import LogFollower
from argosy.runner.node import Node, Phase
from argosy.runner.result import Plan, WorkflowResult

_PER_SECOND = 4


class LiveTree:
    """Redraws itself a few times a second; the last state stays on the screen."""

    def __init__(self, console: Console) -> None:
        self._live = Live(self, console=console, refresh_per_second=_PER_SECOND, transient=False)
        self._nodes: dict[str, Node] = {}
        self._logs: dict[str, tuple[str, LogFollower]] = {}
        self._said: dict[str, str] = {}
        self._run_dir = Path()

    def on_start(self, plan: Plan) -> None:
        """Begin to draw."""
        self._run_dir = plan.run_dir or Path()
        self._live.start()

    def on_node(self, node: Node) -> None:
        """Take note of a change; the next redraw shows it."""
        self._nodes[node.name] = node
        if node.log and node.phase is Phase.RUNNING and self._logs.get(node.name, ("",))[0] != node.log:
            self._logs[node.name] = (node.log, LogFollower(self._run_dir / node.log))

    def on_finish(self, result: WorkflowResult) -> None:
        """Draw the last state and stop."""
        self._nodes = {node.name: node for node in result.nodes}
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        nodes = dict(self._nodes)
        branches: dict[str, Tree] = {"": Tree(Text("", "dim"), hide_root=True)}
        for node in nodes.values():  # a parent always appears before what is inside of it
            above = branches.get(node.parent, branches[""])
            branches[node.name] = above.add(self._line(node, options.max_width))
        yield branches[""]

    def _line(self, node: Node, width: int) -> Text:
        line = describe(node, node.display_name)
        if node.phase is Phase.RUNNING and node.name in self._logs:
            said = self._logs[node.name][1].lines()
            if said:
                self._said[node.name] = said[-1]
            line.append(f"  {self._said.get(node.name, '')}", "dim")
            line.truncate(max(20, width - 8), overflow="ellipsis")
        return line
