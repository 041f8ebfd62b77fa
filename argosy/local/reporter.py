"""Who is told while a run goes on."""

from __future__ import annotations

from typing import Protocol

from argosy.local.node import Node
from argosy.local.result import Plan, WorkflowResult


class Reporter(Protocol):
    """Told of every change, in order, from the thread that runs the workflow; it should return quickly."""

    def on_start(self, plan: Plan) -> None:
        """The run begins; `plan.name`, `plan.uid` and `plan.run_dir` are set."""

    def on_node(self, node: Node) -> None:
        """A node appeared or changed."""

    def on_finish(self, result: WorkflowResult) -> None:
        """The run is over."""


class NullReporter:
    """Says nothing."""

    def on_start(self, plan: Plan) -> None:
        """Nothing."""

    def on_node(self, node: Node) -> None:
        """Nothing."""

    def on_finish(self, result: WorkflowResult) -> None:
        """Nothing."""
