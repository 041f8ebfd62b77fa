"""Before a run: which of its steps would be reused. The workflow is gone through, and no step is run."""

from __future__ import annotations

from dataclasses import dataclass

from argosy.local.engine import WOULD_RUN
from argosy.local.node import PROGRAMS, Phase
from argosy.local.result import WorkflowResult


@dataclass(frozen=True)
class Planned:
    """One step of a run to come: `reused` names the run that its outputs would come from."""

    step: str
    what: str
    reused: str | None = None


def planned(result: WorkflowResult) -> list[Planned]:
    """The steps, from a dry run's result."""
    found = []
    for node in result.nodes:
        if node.kind not in PROGRAMS and node.phase is not Phase.SKIPPED:
            continue
        if node.reused:
            found.append(Planned(node.name, f"reused from {node.reused}", node.reused))
        elif node.phase is Phase.SKIPPED:
            found.append(Planned(node.name, f"skipped: {node.message}"))
        elif node.message == WOULD_RUN:
            found.append(Planned(node.name, "runs"))
        else:
            found.append(Planned(node.name, "waits for what runs"))
    return found
