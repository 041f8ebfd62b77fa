"""Where tasks and steps are called from, and what is known of them when they are over."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from argosy.local import standbys
from argosy.local.context import Context
from argosy.local.daemons import LOOPBACK
from argosy.local.errors import NodeError
from argosy.local.job import Job, Produced
from argosy.local.model import Call, Template
from argosy.local.node import KINDS, Node, Phase, now
from argosy.local.scope import Scope


class Executor(Protocol):
    """Carries jobs out (engine.py), as the compositions see it that call for them."""

    ctx: Context

    async def execute(self, job: Job) -> tuple[Node, Produced]:
        """Carry a job out to its end; never raises for what goes wrong inside of it."""

    def foresee(self, template: Template, name: str) -> bool:
        """Start the program of a job that comes next, if that may be; whether it did."""

    def foresee_end(self) -> bool:
        """The same for a step of the exit handler, where nothing else comes."""


@dataclass(frozen=True)
class Finished:
    """A call that is over: its node, the phases of its loop's items, and what others may refer to."""

    node: Node
    items: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    problem: str = ""
    """Why whoever comes after cannot start: lists that cannot be gathered, an unreadable condition."""


@dataclass(frozen=True)
class Site:
    """A DAG or steps template that is being carried out.

    `prefix` begins the names of its nodes, `kind` is `tasks` or `steps`, `slots` limits its children
    (`parallelism`). `failures` are the names of what failed inside so far.
    """

    engine: Executor
    prefix: str
    parent: str
    kind: str
    scope: Scope
    slots: asyncio.Semaphore | None = None
    fail_fast: bool = False
    """Whether nothing more starts once something has failed (the template's own `failFast`)."""
    failures: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be started."""
        return self.fail_fast and bool(self.failures)

    def name(self, call: Call) -> str:
        """The name of a call's node."""
        return f"{self.prefix}.{call.name}" if self.prefix else call.name

    def template(self, call: Call) -> Template:
        """The work of a call."""
        return self.engine.ctx.plan.workflow.templates[call.template]

    def expect(self, calls: Iterable[Call]) -> None:
        """Show what is going to be carried out, before any of it starts."""
        self.engine.ctx.state.expect(
            Node(self.name(call), call.template, self._kind(call), parent=self.parent) for call in calls
        )

    def may_come(self, call: Call, after_idle: bool) -> bool:
        """Whether a call's `when` may hold; one not known yet may, unless it asks what is idle."""
        try:
            return not call.when or self.scope.holds(call.when)[0]
        except NodeError:
            return not after_idle

    def foresee(self, coming: Callable[[], Iterable[Call]]) -> None:
        """Something was started; `coming` tells what comes next, once that is under way."""

        def look() -> None:
            calls = (call for call in coming() if call.loop is None)
            if any(self.engine.foresee(self.template(call), self.name(call)) for call in calls) or (
                not self.prefix and self.engine.foresee_end()
            ):
                asyncio.get_running_loop().call_later(standbys.DELAY, look)

        asyncio.get_running_loop().call_later(standbys.DELAY, look)

    def end(self, call: Call, name: str, parent: str, phase: Phase, message: str) -> Node:
        """Record the end of a call, or of one of its items, that did not come to its template."""
        kind = self._kind(call) if parent == self.parent else KINDS[self.template(call).kind]
        self.engine.ctx.state.empty(name)
        self.engine.ctx.standbys.discard(name)
        node = Node(name, call.template, kind, phase, parent, finished_at=now(), message=message)
        return self.engine.ctx.state.put(node)

    def omit(self, call: Call, message: str) -> Finished:
        """A call that does not run, recorded as Omitted."""
        node = self.end(call, self.name(call), self.parent, Phase.OMITTED, message)
        return self.finished(call, node, Produced())

    def give_up(self, calls: Iterable[Call]) -> None:
        """The run is being stopped: omit what never started, but keep what an earlier session finished."""
        for call in calls:
            if self.engine.ctx.state.kept(self.name(call)) is None:
                self.omit(call, f"not started: {self.engine.ctx.stop_reason}")

    def finished(
        self,
        call: Call,
        node: Node,
        produced: Produced,
        items: tuple[str, ...] = (),
        lists: dict[str, str] | None = None,
        problem: str = "",
    ) -> Finished:
        """Names that others may refer to after a call; `lists` are the aggregated outputs of a loop."""
        prefix = f"{self.kind}.{call.name}"
        known = (
            _state_variables(node, self.template(call).daemon)
            | _output_variables(node, produced, self.template(call))
            | (lists or {})
        )
        variables = {f"{prefix}.{name}": value for name, value in known.items()}
        artifacts = {f"{prefix}.outputs.artifacts.{name}": path for name, path in produced.artifacts.items()}
        return Finished(node, items, variables, artifacts, problem)

    def _kind(self, call: Call) -> str:
        return "Loop" if call.loop else KINDS[self.template(call).kind]


def _state_variables(node: Node, daemon: bool) -> dict[str, str]:
    if daemon and node.phase is Phase.SUCCEEDED:  # it is ready, and runs
        return {
            "status": Phase.RUNNING.value,
            "id": node.name,
            "ip": LOOPBACK,
            "startedAt": node.started_at or "",
        }
    known = {"status": node.phase.value, "id": node.name, "hostNodeName": platform.node()}
    if node.started_at:
        known["startedAt"] = node.started_at
    if node.finished_at:
        known["finishedAt"] = node.finished_at
    if node.exit_code is not None:
        known["exitCode"] = str(node.exit_code)
    return known


def _output_variables(node: Node, produced: Produced, template: Template) -> dict[str, str]:
    parameters = dict(produced.parameters)
    if node.phase in (
        Phase.SKIPPED,
        Phase.OMITTED,
    ):  # what did not run has the outputs that were given a default
        parameters = {out.name: out.default for out in template.outputs if out.default is not None}
    known = {f"outputs.parameters.{name}": value for name, value in parameters.items()}
    return known if produced.result is None else {**known, "outputs.result": produced.result}
