"""One task or step: its condition, its loop, its arguments, its exit hook."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from argosy.runner.binding import bind
from argosy.runner.condition import evaluate
from argosy.runner.context import EXIT_HANDLER
from argosy.runner.errors import NodeError
from argosy.runner.job import Job, Produced
from argosy.runner.loop import Item, aggregate, expand
from argosy.runner.model import Call, Template
from argosy.runner.node import KINDS, Node, Phase, Values, now
from argosy.runner.scope import Scope

if TYPE_CHECKING:
    from argosy.runner.engine import Engine

_T = TypeVar("_T")


@dataclass(frozen=True)
class Site:
    """Where calls are made from: a DAG or steps template that is being carried out.

    `prefix` begins the names of its nodes, `kind` is `tasks` or `steps`, `slots` limits its children
    (`parallelism`).
    """

    engine: Engine
    prefix: str
    parent: str
    kind: str
    scope: Scope
    slots: asyncio.Semaphore | None = None
    halted: Callable[[], bool] = lambda: False

    def name(self, call: str) -> str:
        """The name of a child's node."""
        return f"{self.prefix}.{call}" if self.prefix else call


@dataclass(frozen=True)
class Finished:
    """A call that is over: its node, the phases of its loop's items, and what others may refer to."""

    node: Node
    items: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)


async def run_call(site: Site, call: Call, *, fresh: bool) -> Finished:
    """Carry a call out to its end; what goes wrong inside becomes its node's phase and message."""
    template = site.engine.ctx.plan.workflow.templates[call.template]
    name = site.name(call.name)
    try:
        if call.loop is not None:
            return await _loop(site, call, template, name, fresh)
        node, produced = await _single(site, call, template, name, site.parent, site.scope, fresh)
    except NodeError as error:
        node, produced = _put(site, call, name, site.parent, Phase.ERROR, str(error)), Produced()
    return _finished(site, call, template, node, produced)


def not_run(site: Site, call: Call, message: str) -> Finished:
    """A call that does not run, recorded as Omitted."""
    site.engine.ctx.state.discard(site.name(call.name))
    node = _put(site, call, site.name(call.name), site.parent, Phase.OMITTED, message)
    return _finished(site, call, site.engine.ctx.plan.workflow.templates[call.template], node, Produced())


def give_up(site: Site, calls: Iterable[Call]) -> None:
    """The run is being stopped: record what never started, but keep what an earlier session finished."""
    state = site.engine.ctx.state
    for call in calls:
        if state.kept(site.name(call.name)) is None:
            not_run(site, call, f"not started: {site.engine.ctx.stop_reason}")


async def _single(
    site: Site, call: Call, template: Template, name: str, parent: str, scope: Scope, fresh: bool
) -> tuple[Node, Produced]:
    if call.when:
        condition = scope.render(call.when)
        if not evaluate(condition):
            site.engine.ctx.state.discard(name)
            return _put(site, call, name, parent, Phase.SKIPPED, f"when '{condition}' is false"), Produced()
    inputs = bind(template, call.arguments, scope, site.engine.ctx.globals, site.engine.ctx.run_dir)
    job = Job(template, name, inputs, parent, fresh, site.halted)
    node, produced = await _limited(site.slots, lambda: site.engine.execute(job))
    if call.exit_hook and node.phase is not Phase.OMITTED:
        variables = _variables(site.kind, call.name, node, produced, template)
        await _run_hook(site, call, name, scope.inner(variables, _artifacts(site.kind, call.name, produced)))
    return node, produced


async def _run_hook(site: Site, call: Call, name: str, scope: Scope) -> None:
    """Run a task's exit hook. As in Argo, its failure is shown and changes nothing else."""
    assert call.exit_hook is not None
    template = site.engine.ctx.plan.workflow.templates[call.exit_hook.template]
    hook = f"{name}.{EXIT_HANDLER}"
    try:
        ctx = site.engine.ctx
        inputs = bind(template, call.exit_hook.arguments, scope, ctx.globals, ctx.run_dir)
        await site.engine.execute(Job(template, hook, inputs, name, fresh=name in ctx.executed))
    except NodeError as error:
        _put(site, call, hook, name, Phase.ERROR, str(error))


async def _loop(site: Site, call: Call, template: Template, name: str, fresh: bool) -> Finished:
    assert call.loop is not None
    state = site.engine.ctx.state
    items = expand(call.loop, site.scope)
    if fresh:
        state.discard(name)
    if not items:
        node = _put(site, call, name, site.parent, Phase.SKIPPED, "its list of items is empty")
        return _finished(site, call, template, node, Produced(), aggregate([]))
    state.put(Node(name, template.name, "Loop", Phase.RUNNING, site.parent, started_at=now()))
    try:
        done = await gather([_item(site, call, template, name, item, fresh) for item in items])
    except asyncio.CancelledError:
        state.put(_closed(state.nodes[name], Phase.FAILED, site.engine.ctx.stop_reason))
        raise
    phases = [node.phase for node, _ in done]
    bad = [phase for phase in phases if phase.is_bad]
    if any(node.name in site.engine.ctx.executed for node, _ in done):
        site.engine.ctx.executed.add(name)
    message = f"{len(bad)} of {len(done)} items failed" if bad else ""
    lists = aggregate([_values(produced) for node, produced in done if node.phase is not Phase.SKIPPED])
    outputs = Values(
        {
            key.removeprefix("outputs.parameters."): value
            for key, value in lists.items()
            if key.startswith("outputs.parameters.")
        },
        {},
        lists["outputs.result"],
    )
    node = _closed(state.nodes[name], bad[-1] if bad else Phase.SUCCEEDED, message, outputs)
    finished = _finished(site, call, template, state.put(node), Produced(), lists)
    return Finished(
        finished.node, tuple(phase.value for phase in phases), finished.variables, finished.artifacts
    )


async def _item(
    site: Site, call: Call, template: Template, loop: str, item: Item, fresh: bool
) -> tuple[Node, Produced]:
    name = f"{loop}{item.suffix}"
    try:
        return await _single(site, call, template, name, loop, site.scope.inner(dict(item.variables)), fresh)
    except NodeError as error:
        return _put(site, call, name, loop, Phase.ERROR, str(error)), Produced()


def expect(site: Site, calls: Iterable[Call]) -> None:
    """Show what is going to be carried out, before any of it starts."""
    templates = site.engine.ctx.plan.workflow.templates
    site.engine.ctx.state.expect(
        Node(site.name(call.name), call.template, _kind(call, templates[call.template]), parent=site.parent)
        for call in calls
    )


async def gather(jobs: Iterable[Awaitable[_T]]) -> list[_T]:
    """Wait for all; if this is cancelled, or one raises, the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _limited(
    slots: asyncio.Semaphore | None, start: Callable[[], Awaitable[tuple[Node, Produced]]]
) -> tuple[Node, Produced]:
    if slots is None:
        return await start()
    async with slots:
        return await start()


def _put(site: Site, call: Call, name: str, parent: str, phase: Phase, message: str) -> Node:
    kind = _kind(call, site.engine.ctx.plan.workflow.templates[call.template])
    node = Node(name, call.template, kind, phase, parent, finished_at=now(), message=message)
    return site.engine.ctx.state.put(node)


def _kind(call: Call, template: Template) -> str:
    return "Loop" if call.loop else KINDS[template.kind]


def _closed(node: Node, phase: Phase, message: str, outputs: Values | None = None) -> Node:
    return Node(
        node.name,
        node.template,
        node.kind,
        phase,
        node.parent,
        node.started_at,
        now(),
        outputs=outputs or Values(),
        message=message,
    )


def _values(produced: Produced) -> Values:
    return Values(produced.parameters, {}, produced.result)


def _finished(
    site: Site,
    call: Call,
    template: Template,
    node: Node,
    produced: Produced,
    lists: dict[str, str] | None = None,
) -> Finished:
    variables = _variables(site.kind, call.name, node, produced, template)
    if lists is not None:
        variables |= {f"{site.kind}.{call.name}.{key}": value for key, value in lists.items()}
    return Finished(node, (), variables, _artifacts(site.kind, call.name, produced))


def _variables(kind: str, call: str, node: Node, produced: Produced, template: Template) -> dict[str, str]:
    prefix = f"{kind}.{call}"
    known = {f"{prefix}.status": node.phase.value, f"{prefix}.id": node.name}
    known[f"{prefix}.hostNodeName"] = platform.node()
    if node.started_at:
        known[f"{prefix}.startedAt"] = node.started_at
    if node.finished_at:
        known[f"{prefix}.finishedAt"] = node.finished_at
    if node.exit_code is not None:
        known[f"{prefix}.exitCode"] = str(node.exit_code)
    if node.phase in (Phase.SKIPPED, Phase.OMITTED):
        defaults = {output.name: output.default for output in template.outputs}
        known |= {
            f"{prefix}.outputs.parameters.{name}": text for name, text in defaults.items() if text is not None
        }
    known |= {f"{prefix}.outputs.parameters.{name}": value for name, value in produced.parameters.items()}
    if produced.result is not None:
        known[f"{prefix}.outputs.result"] = produced.result
    return known


def _artifacts(kind: str, call: str, produced: Produced) -> dict[str, Path]:
    return {f"{kind}.{call}.outputs.artifacts.{name}": path for name, path in produced.artifacts.items()}
