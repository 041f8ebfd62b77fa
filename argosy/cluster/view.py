"""A followed workflow on the terminal: a tree that is redrawn, or lines where there is no terminal."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from argosy.cluster.nodes import FINISHED, Node, nodes_of, phase_of
from argosy.text import visible

_LOOKS = {
    "Running": ("●", "cyan"),
    "Succeeded": ("✔", "green"),
    "Failed": ("✖", "red"),
    "Error": ("⚠", "red"),
}
_OTHER = ("○", "dim")
_WORTH_SAYING = ("Failed", "Error", "Skipped")


def show(console: Console, states: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Show each state as it comes; the last one is returned."""
    last: dict[str, Any] = {}
    if console.is_terminal and not console.is_dumb_terminal:  # one that cannot go back a line
        tree = _LiveTree()
        with Live(tree, console=console, refresh_per_second=4):
            for last in states:
                tree.workflow = last
        return last
    lines = _Lines(console)
    for last in states:
        lines.print(last)
    return last


def tree(workflow: Mapping[str, Any]) -> Tree:
    """The nodes below one headline; those that were only omitted are one line together."""
    nodes = nodes_of(workflow)
    branches = {"": Tree(_headline(workflow))}
    for node in nodes:
        if node.phase != "Omitted":
            above = branches.get(node.parent, branches[""])
            branches[node.id] = above.add(_line(node))
    if line := _omitted(nodes):
        branches[""].add(line)
    return branches[""]


def _omitted(nodes: Iterable[Node]) -> Text | None:
    names = dict.fromkeys(n.name for n in nodes if n.phase == "Omitted")
    return Text(f"○ omitted: {', '.join(names)}", "dim") if names else None


class _LiveTree:
    def __init__(self) -> None:
        self.workflow: Mapping[str, Any] = {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield tree(self.workflow)


class _Lines:
    """One line for each change of a phase, and for each new reason why a step does not start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, tuple[str, ...]] = {}

    def print(self, workflow: Mapping[str, Any]) -> None:
        nodes, phase = nodes_of(workflow), phase_of(workflow)
        for node in nodes:
            reason = node.message if node.phase == "Pending" else ""
            if node.phase != "Omitted" and self._is_new(node.id, node.phase, reason):
                self._console.print(_line(node, say_phase=True), soft_wrap=True)
        if self._is_new("", phase):
            if (line := _omitted(nodes)) and phase in FINISHED:
                self._console.print(line, soft_wrap=True)
            self._console.print(_headline(workflow), soft_wrap=True)

    def _is_new(self, key: str, *state: str) -> bool:
        new = self._seen.get(key) != state
        self._seen[key] = state
        return new


def _headline(workflow: Mapping[str, Any]) -> Text:
    phase, name = phase_of(workflow), workflow.get("metadata", {}).get("name", "")
    line = Text.assemble(("workflow ", "dim"), name, "  ", (phase, _LOOKS.get(phase, _OTHER)[1]))
    message = (workflow.get("status") or {}).get("message")
    if message:
        line.append(f"  {visible(' '.join(str(message).split()))}", "dim")
    return line


def _line(node: Node, *, say_phase: bool = False) -> Text:
    symbol, style = _LOOKS.get(node.phase, _OTHER)
    line = Text.assemble((f"{symbol} ", style), visible(node.name))
    if node.started is not None:
        line.append(f"  {_duration((node.finished or time.time()) - node.started)}", "dim")
    if say_phase or node.phase in _WORTH_SAYING:
        line.append(f"  {node.phase}", style)
    if node.message:
        line.append(f"  {visible(node.message)}", "dim")
    return line


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"
