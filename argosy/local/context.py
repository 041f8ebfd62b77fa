"""The things that all nodes of one run share."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from argosy.local.approval import EXIT_HANDLER as EXIT_HANDLER
from argosy.local.approval import Approval
from argosy.local.job import Inputs, Plan, Produced
from argosy.local.kept import Kept
from argosy.local.marks import Mark
from argosy.local.model import Container, Template
from argosy.local.node import Values
from argosy.local.paths import PathMap
from argosy.local.scope import Scope
from argosy.local.standbys import Standbys
from argosy.local.state import RunState

HOOKS = "hooks"
"""Last word but one of a hook's node: `TASK.hooks.NAME`."""


class Reuse(Protocol):
    """Outputs that earlier runs made; `dry`: what is not found is not carried out."""

    dry: bool

    def key(self, template: str, inputs: Inputs, variables: Mapping[str, str]) -> str | None:
        """All that decides the outputs of a template with these inputs, as one text; None: never reused."""

    def find(
        self, key: str, node: str, max_age: float | None = None, before: float | None = None
    ) -> tuple[str, Values] | None:
        """The run that made such outputs, at most `max_age` seconds ago, and these, in this run's folder.

        Of what this run itself makes, that which was there `before` a moment.
        """

    def keep(self, key: str, produced: Produced, marks: Mapping[str, Mark]) -> None:
        """Remember what was made."""


class Contains(Protocol):
    """The engine that runs programs in their images (containers.py)."""

    def paths(self, ctx: Context, container: Container, place: Path, pod_dir: Path) -> PathMap:
        """The paths of a container whose own folder is `place`, in a pod whose folder is `pod_dir`."""

    def contained(self, template: Template | None, *rest: Any) -> Any:
        """A container's `Program`; `rest` is what that takes, `template` that of a main one."""


@dataclass(frozen=True)
class Only:
    """One node that is carried out in place of the workflow; with `terminal` under pdb, on the terminal."""

    name: str
    template: str
    inputs: Inputs
    terminal: bool = False


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
    kept: Kept = field(default_factory=Kept)
    only: Only | None = None
    reuse: Reuse | None = None
    approval: Approval = field(default_factory=Approval)
    containers: Contains | None = None
    """The engine that runs each program in its image; None: they run as processes."""
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
        """A cluster's name for the pod: workflow, template, and a number made of the node's name."""
        return f"{self.plan.name}-{template}-{zlib.crc32(node.encode())}"
