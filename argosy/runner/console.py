"""A run on the terminal: a live tree where there is one, plain lines elsewhere. Everything goes to stderr."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console
from rich.text import Text

from argosy.runner.console_live import LiveTree
from argosy.runner.console_plain import PlainLines
from argosy.runner.node import Node
from argosy.runner.reporter import Reporter
from argosy.runner.result import Plan, WorkflowResult


class ConsoleReporter:
    """Shows a run while it goes on and, at its end, the last lines of the steps that failed."""

    def __init__(self, stream: TextIO | None = None, *, live: bool | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, markup=False, soft_wrap=True)
        is_live = self._console.is_terminal if live is None else live
        self._view: Reporter = LiveTree(self._console) if is_live else PlainLines(self._console)

    def on_start(self, plan: Plan) -> None:
        """Name the run and its folder."""
        self._console.print(Text.assemble(("workflow ", "dim"), plan.name, (f"  {plan.run_dir}", "dim")))
        self._view.on_start(plan)

    def on_node(self, node: Node) -> None:
        """Show a change."""
        self._view.on_node(node)

    def on_finish(self, result: WorkflowResult) -> None:
        """End the view; show what failed."""
        self._view.on_finish(result)
        for node in result.failed_nodes:
            self._show_failure(node, result)
        if result.message and not result.succeeded:
            self._console.print(Text(f"{result.phase.value}: {result.message}", "red"))

    def _show_failure(self, node: Node, result: WorkflowResult) -> None:
        head = Text.assemble("\n", (f"'{node.name}' {node.phase.value}", "bold red"), f": {node.message}")
        self._console.print(head)
        for line in node.log_tail:
            self._console.print(Text(f"  {line}", "dim"))
        if node.log:
            self._console.print(Text(f"  whole log: {result.run_dir / node.log}", "dim"))
