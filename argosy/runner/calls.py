"""One task or step: its condition, arguments, template and exit hook; or a loop over all of these."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import nullcontext
from typing import TypeVar

from argosy.runner.binding import bind
from argosy.runner.condition import evaluate
from argosy.runner.context import EXIT_HANDLER
from argosy.runner.errors import NodeError
from argosy.runner.job import Job, Produced
from argosy.runner.loop import Item, aggregate, expand
from argosy.runner.model import Call, Hook, Loop
from argosy.runner.node import KINDS, Node, Phase, Values, now
from argosy.runner.scope import Scope
from argosy.runner.site import Finished, Site

_T = TypeVar("_T")
_PARAMETER = "outputs.parameters."


async def run_call(site: Site, call: Call, *, fresh: bool) -> Finished:
    """Carry a call out to its end; what goes wrong inside becomes its node's phase and message.

    `fresh`: something that it depends on ran in this session, so nothing is kept from an earlier one.
    """
    try:
        if call.loop is not None:
            return await _run_loop(site, call, call.loop, fresh)
    except NodeError as error:
        node = site.end(call, site.name(call), site.parent, Phase.ERROR, str(error))
        return site.finished(call, node, Produced())
    node, produced = await _run_one(site, call, site.name(call), site.parent, site.scope, fresh)
    return site.finished(call, node, produced)


async def gather(jobs: Iterable[Awaitable[_T]]) -> list[_T]:
    """Wait for all; if this is cancelled, or one raises, the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run_one(
    site: Site, call: Call, name: str, parent: str, scope: Scope, fresh: bool
) -> tuple[Node, Produced]:
    """A call without a loop, or one item of a loop."""
    ctx = site.engine.ctx
    try:
        if call.when and not evaluate(condition := scope.render(call.when)):
            return site.end(call, name, parent, Phase.SKIPPED, f"when {condition} is false"), Produced()
        inputs = bind(site.template(call), call.arguments, scope, ctx.globals, ctx.run_dir)
    except NodeError as error:
        return site.end(call, name, parent, Phase.ERROR, str(error)), Produced()
    async with site.slots or nullcontext():
        node, produced = await site.engine.execute(Job(site.template(call), name, inputs, parent, fresh))
    if call.exit_hook:
        over = site.finished(call, node, produced)
        await _run_hook(site, call.exit_hook, name, scope.inner(over.variables, over.artifacts))
    return node, produced


async def _run_hook(site: Site, hook: Hook, owner: str, scope: Scope) -> None:
    """Run a task's exit hook. As in Argo, its failure is shown and changes nothing else."""
    ctx = site.engine.ctx
    template = ctx.plan.workflow.templates[hook.template]
    name = f"{owner}.{EXIT_HANDLER}"
    try:
        inputs = bind(template, hook.arguments, scope, ctx.globals, ctx.run_dir)
    except NodeError as error:
        kind = KINDS[template.kind]
        ctx.state.put(
            Node(name, template.name, kind, Phase.ERROR, owner, finished_at=now(), message=str(error))
        )
        return
    await site.engine.execute(Job(template, name, inputs, owner, fresh=owner in ctx.executed))


async def _run_loop(site: Site, call: Call, loop: Loop, fresh: bool) -> Finished:
    """All items side by side; a loop fails as its last failing item did. Raises NodeError for a bad list."""
    ctx, name = site.engine.ctx, site.name(call)
    items = expand(loop, site.scope)
    if fresh:
        ctx.state.empty(name)
    if not items:
        node = site.end(call, name, site.parent, Phase.SKIPPED, "its list of items is empty")
        return site.finished(call, node, Produced(), lists=aggregate([]))
    ctx.state.put(Node(name, call.template, "Loop", Phase.RUNNING, site.parent, started_at=now()))
    try:
        done = await gather(_run_item(site, call, name, item, fresh) for item in items)
    except asyncio.CancelledError:
        _close(site, name, Phase.FAILED, ctx.stop_reason, Values())
        raise
    if any(node.name in ctx.executed for node, _ in done):
        ctx.executed.add(name)
    bad = [node.phase for node, _ in done if node.phase.is_bad]
    lists = aggregate([produced for node, produced in done if node.phase is not Phase.SKIPPED])
    parameters = {
        key.removeprefix(_PARAMETER): text for key, text in lists.items() if key.startswith(_PARAMETER)
    }
    outputs = Values(parameters, {}, lists.get("outputs.result"))
    message = f"{len(bad)} of {len(done)} items failed" if bad else ""
    node = _close(site, name, bad[-1] if bad else Phase.SUCCEEDED, message, outputs)
    return site.finished(call, node, Produced(), tuple(item.phase.value for item, _ in done), lists)


async def _run_item(site: Site, call: Call, loop: str, item: Item, fresh: bool) -> tuple[Node, Produced]:
    return await _run_one(
        site, call, f"{loop}{item.suffix}", loop, site.scope.inner(dict(item.variables)), fresh
    )


def _close(site: Site, name: str, phase: Phase, message: str, outputs: Values) -> Node:
    node = site.engine.ctx.state.nodes[name]
    started = node.started_at
    return site.engine.ctx.state.put(
        Node(
            name, node.template, "Loop", phase, node.parent, started, now(), outputs=outputs, message=message
        )
    )
