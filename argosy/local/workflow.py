"""The workflow as a whole: its entrypoint, its deadline, its exit handler, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from argosy.local.artifacts import from_text
from argosy.local.calls import bind, gather
from argosy.local.composites import run_composite
from argosy.local.context import EXIT_HANDLER, HOOKS, Context
from argosy.local.engine import Engine
from argosy.local.errors import NodeError
from argosy.local.job import Inputs, Job, Outcome, Produced, WorkflowResult
from argosy.local.model import Arguments, Hook, Template
from argosy.local.node import KINDS, Node, Phase, Values, now
from argosy.local.scope import parameter_variables
from argosy.local.shape import compact
from argosy.local.shared import held
from argosy.manifest import golang


async def run_workflow(ctx: Context, started: str) -> WorkflowResult:
    """Run the entrypoint, then, whatever happened, the exit handler; only a stop by a signal skips that."""
    engine = Engine(ctx)
    for handler in (EXIT_HANDLER, *(f"{HOOKS}.{name}" for name in ctx.plan.workflow.hooks)):
        ctx.state.discard(handler)
    hooks = _Hooks(engine)
    try:
        hooks.look()
        outcome = await _within_deadline(ctx, _locked(engine))
        _tell(ctx, outcome)
        hooks.look()
        outcome = await _exit_handler(engine, outcome)
        await hooks.over()
    except asyncio.CancelledError:
        outcome = Outcome(Phase.FAILED, ctx.stop_reason)
    outputs = _outputs(ctx, outcome.produced)
    finished = now()
    extra = {"message": outcome.message, "finishedAt": finished, "outputs": outputs.to_dict()}
    if (lost := ctx.state.close(outcome.phase, extra)) and outcome.phase is Phase.SUCCEEDED:
        outcome = replace(outcome, phase=Phase.ERROR, message=lost)
    return WorkflowResult(
        name=ctx.plan.name,
        uid=ctx.plan.uid,
        phase=outcome.phase,
        message=outcome.message,
        started_at=started,
        finished_at=finished,
        parameters=ctx.plan.parameters,
        nodes=ctx.state.in_order(),
        run_dir=ctx.run_dir,
        outputs=outputs,
    )


async def _within_deadline(ctx: Context, run: Awaitable[Outcome]) -> Outcome:
    limit = ctx.plan.workflow.deadline
    task = asyncio.ensure_future(run)
    try:
        done, _ = await asyncio.wait([task], timeout=limit)
        if done:
            return task.result()
        ctx.stop_reason = f"the workflow ran longer than {limit:g} s"
        await _cancelled(task)
        return Outcome(Phase.FAILED, ctx.stop_reason)
    except asyncio.CancelledError:
        await _cancelled(task)
        raise


async def _cancelled(task: asyncio.Future[Outcome]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _locked(engine: Engine) -> Outcome:
    """The entrypoint, while the workflow holds its own locks."""
    ctx = engine.ctx
    try:
        async with held(ctx.plan.workflow.locks, ctx.kept, ctx.globals.render, lambda message: None):
            return await _entrypoint(engine)
    except NodeError as error:
        return Outcome(Phase.ERROR, str(error))
    finally:
        await engine.daemons.end("")


async def _entrypoint(engine: Engine) -> Outcome:
    if (only := engine.ctx.only) is not None:
        template = engine.ctx.plan.workflow.templates[only.template]
        return _as_outcome(*await engine.execute(Job(template, only.name, only.inputs)))
    template = engine.ctx.plan.workflow.templates[engine.ctx.plan.workflow.entrypoint]
    try:
        inputs = _inputs(engine.ctx, template, Arguments())
        if not template.calls or template.retry or template.locks or template.memo:
            return _as_outcome(*await engine.execute(Job(template, template.name, inputs)))
        scope = engine.ctx.globals.inner(parameter_variables("inputs", inputs.parameters))
        outcome = await run_composite(engine, Job(template, "", inputs), "", scope)
        engine.publish(template, outcome.produced)
        return outcome
    except NodeError as error:
        return Outcome(Phase.ERROR, str(error))


def _tell(ctx: Context, outcome: Outcome) -> None:
    """Let hooks and the exit handler know how the entrypoint ended."""
    ctx.tick()
    ctx.globals.variables["workflow.status"] = outcome.phase.value
    ctx.globals.variables["workflow.failures"] = _failures(ctx)


class _Hooks:
    """The workflow's own hooks: each runs once, as soon as its expression holds, and changes nothing else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._left = dict(engine.ctx.plan.workflow.hooks)
        self._running: list[asyncio.Task[None]] = []

    def look(self) -> None:
        """The workflow is in another phase: start the hooks that wait for it."""
        for name, hook in list(self._left.items()):
            try:
                holds = self._engine.ctx.globals.evaluate(hook.expression or "") is True
            except NodeError as error:
                del self._left[name]
                self._refuse(hook, f"{HOOKS}.{name}", error)
                continue
            if holds:
                del self._left[name]
                self._running.append(asyncio.ensure_future(self._run(hook, f"{HOOKS}.{name}")))

    def _refuse(self, hook: Hook, name: str, error: NodeError) -> None:
        ctx = self._engine.ctx
        kind = KINDS[ctx.plan.workflow.templates[hook.template].kind]
        ctx.state.put(Node(name, hook.template, kind, Phase.ERROR, finished_at=now(), message=str(error)))

    async def over(self) -> None:
        """Wait for the hooks that run."""
        await gather(self._running)

    async def _run(self, hook: Hook, name: str) -> None:
        ctx = self._engine.ctx
        template = ctx.plan.workflow.templates[hook.template]
        try:
            inputs = _inputs(ctx, template, hook.arguments)
        except NodeError as error:
            self._refuse(hook, name, error)
            return
        await self._engine.execute(Job(template, name, inputs, fresh=True))


async def _exit_handler(engine: Engine, outcome: Outcome) -> Outcome:
    """Run the exit handler; its own failure fails a workflow that had succeeded, and hides nothing."""
    ctx = engine.ctx
    hook = ctx.plan.workflow.on_exit
    if hook is None or ctx.only is not None:
        return outcome
    if hook.expression and ctx.globals.evaluate(hook.expression) is not True:
        return outcome
    template = ctx.plan.workflow.templates[hook.template]
    try:
        inputs = _inputs(ctx, template, hook.arguments)
        handled = _as_outcome(*await engine.execute(Job(template, EXIT_HANDLER, inputs, fresh=True)))
    except NodeError as error:
        handled = Outcome(Phase.ERROR, str(error))
    if outcome.phase is Phase.SUCCEEDED and handled.phase.is_bad:
        return Outcome(
            handled.phase, f"the exit handler failed: {handled.message}", produced=outcome.produced
        )
    return outcome


def _inputs(ctx: Context, template: Template, arguments: Arguments) -> Inputs:
    """Inputs of the entrypoint or exit handler: the workflow's arguments by name, and a hook's own."""
    workflow = ctx.plan.workflow
    parameters = {
        port.name: ctx.plan.parameters[port.name]
        for port in template.parameters
        if port.name in ctx.plan.parameters and port.name not in arguments.parameters
    }
    artifacts = {
        port.name: from_text(workflow.artifacts[port.name].raw or "", ctx.run_dir)
        for port in template.artifacts
        if port.name in workflow.artifacts and port.name not in arguments.artifacts
    }
    given = Inputs(parameters, artifacts)
    return bind(template, arguments, ctx.globals, ctx.globals, ctx.run_dir, given)


def _as_outcome(node: Node, produced: Produced) -> Outcome:
    message = f"'{node.name}' failed: {node.message}" if node.phase.is_bad else node.message
    return Outcome(node.phase, message, node.exit_code, produced, node.log_tail)


def _failures(ctx: Context) -> str:
    """The failures, as JSON within the quotes of a text, so that it can stand in a JSON text."""
    return golang.quote(
        compact(
            [
                {
                    "displayName": node.display_name,
                    "message": node.message,
                    "templateName": node.template,
                    "phase": node.phase.value,
                    "podName": ctx.pod_name(node.template, node.name),
                    "finishedAt": node.finished_at,
                }
                for node in ctx.state.nodes.values()
                if node.phase.is_bad
            ]
        )
    )


def _outputs(ctx: Context, produced: Produced) -> Values:
    """The entrypoint's outputs and the global ones."""
    prefix = "workflow.outputs.parameters."
    parameters = dict(produced.parameters)
    parameters |= {
        name.removeprefix(prefix): value
        for name, value in ctx.globals.variables.items()
        if name.startswith(prefix)
    }
    prefix = "workflow.outputs.artifacts."
    artifacts = {name: ctx.relative(path) for name, path in produced.artifacts.items()}
    artifacts |= {
        name.removeprefix(prefix): ctx.relative(path)
        for name, path in ctx.globals.artifacts.items()
        if name.startswith(prefix)
    }
    return Values(parameters, artifacts)
