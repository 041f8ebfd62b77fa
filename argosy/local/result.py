"""Plan and outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argosy.local.model import Workflow
from argosy.local.node import Node, Phase, Values


@dataclass(frozen=True)
class Plan:
    """A manifest fit to run, its parameters resolved; `name`, `uid`, `run_dir` are known once it runs."""

    workflow: Workflow
    parameters: Mapping[str, str]
    given: frozenset[str] = frozenset()
    """Parameters that the caller gave: their values are never read as text with tags."""
    name: str = ""
    uid: str = ""
    run_dir: Path | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the entrypoint's own tasks, in the manifest's order."""
        return tuple(call.name for call in self.workflow.templates[self.workflow.entrypoint].calls)


@dataclass(frozen=True)
class WorkflowResult:
    """How a run ended: one JSON document."""

    name: str
    uid: str
    phase: Phase
    message: str
    started_at: str
    finished_at: str
    parameters: Mapping[str, str]
    nodes: tuple[Node, ...]
    run_dir: Path
    outputs: Values = field(default_factory=Values)

    @property
    def succeeded(self) -> bool:
        """Whether the workflow Succeeded."""
        return self.phase is Phase.SUCCEEDED

    @property
    def failed_nodes(self) -> tuple[Node, ...]:
        """The programs that Failed, or nodes with an Error of their own, in the order they are listed."""
        inner = {node.parent for node in self.nodes if node.phase.is_bad}
        return tuple(node for node in self.nodes if node.phase.is_bad and node.name not in inner)

    def to_dict(self) -> dict[str, Any]:
        """The document: `phase`, `nodes`, `outputs`, and what identifies the run."""
        return {
            "name": self.name,
            "uid": self.uid,
            "phase": self.phase.value,
            "message": self.message,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "parameters": dict(self.parameters),
            "nodes": [node.to_dict() for node in self.nodes],
            "outputs": self.outputs.to_dict(),
            "runDir": str(self.run_dir),
        }
