"""The workflow as a whole: its entrypoint, its deadline, its exit handler, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from argosy.runner.artifacts import from_text
from argosy.runner.binding import bind
from argosy.runner.context import EXIT_HANDLER, Context
from argosy.runner.dag import run_dag
from argosy.runner.engine import Engine
from argosy.runner.errors import NodeError
from argosy.runner.job import Inputs, Job, Outcome, Produced
from argosy.runner.model import Arguments, Template
from argosy.runner.node import Node, Phase, Values, now
from argosy.runner.result import WorkflowResult
from argosy.runner.scope import parameter_variables
from argosy.runner.steps import run_steps
from argosy.runner.values import compact


async def run_workflow(ctx: Context, started: str) -> WorkflowResult:
    """Run the entrypoint, then, whatever happened, the exit handler; only a stop by a signal skips that."""
    engine = Engine(ctx)
    ctx.state.discard(EXIT_HANDLER)
    try:
        outcome = await _within_deadline(ctx, _entrypoint(engine))
        outcome = await _exit_handler(engine, outcome)
    except asyncio.CancelledError:
        outcome = Outcome(Phase.FAILED, ctx.stop_reason)
    outputs = _outputs(ctx, outcome.produced)
    finished = now()
    extra = {"message": outcome.message, "finishedAt": finished, "outputs": outputs.to_dict()}
    ctx.state.close(outcome.phase, extra)
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


async def _entrypoint(engine: Engine) -> Outcome:
    template = engine.ctx.plan.workflow.templates[engine.ctx.plan.workflow.entrypoint]
    try:
        inputs = _inputs(engine.ctx, template, Arguments())
        if template.is_leaf:
            return _as_outcome(*await engine.execute(Job(template, template.name, inputs)))
        scope = engine.ctx.globals.inner(parameter_variables("inputs", inputs.parameters))
        run = run_dag if template.kind == "dag" else run_steps
        outcome = await run(engine, Job(template, "", inputs), "", scope)
        engine.publish(template, outcome.produced)
        return outcome
    except NodeError as error:
        return Outcome(Phase.ERROR, str(error))


async def _exit_handler(engine: Engine, outcome: Outcome) -> Outcome:
    """Run the exit handler; its own failure fails a workflow that had succeeded, and hides nothing."""
    ctx = engine.ctx
    hook = ctx.plan.workflow.on_exit
    if hook is None:
        return outcome
    ctx.tick()
    ctx.globals.variables["workflow.status"] = outcome.phase.value
    ctx.globals.variables["workflow.failures"] = _failures(ctx)
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
    """What the entrypoint or exit handler gets: the workflow's arguments by name, and what a hook passes."""
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
    return compact(
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
