"""What all nodes of one run share."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from argosy.runner.result import Plan
from argosy.runner.scope import Scope
from argosy.runner.standbys import Standbys
from argosy.runner.state import RunState

EXIT_HANDLER = "onExit"
"""Name of the workflow's exit handler among the nodes, and suffix of a task's."""


@dataclass
class Context:
    """One run: its plan, folder, state, global variables, and the slots for programs."""

    plan: Plan
    run_dir: Path
    seen_dir: Path
    """The run's folder by the path that programs see: one that needs no quotes in a shell."""
    state: RunState
    environment: Mapping[str, str]
    slots: asyncio.Semaphore
    globals: Scope
    captured: frozenset[str]
    """Templates whose standard output somebody asks for."""
    standbys: Standbys
    executed: set[str] = field(default_factory=set)
    """Nodes that ran in this session: what depends on them cannot be kept from an earlier one."""
    began: float = field(default_factory=time.monotonic)
    stop_reason: str = "stopped"

    def tick(self) -> None:
        """Bring `{{workflow.duration}}` up to date."""
        self.globals.variables["workflow.duration"] = f"{time.monotonic() - self.began:.6f}"

    def relative(self, source: Path) -> str:
        """An artifact's path relative to the run's folder, for the record."""
        return (
            source.relative_to(self.run_dir).as_posix()
            if source.is_relative_to(self.run_dir)
            else str(source)
        )

    def pod_name(self, template: str, node: str) -> str:
        """What a cluster would call the pod: workflow, template, and a number made of the node's name."""
        return f"{self.plan.name}-{template}-{zlib.crc32(node.encode())}"
