"""Runs a manifest in a folder: checks, the entrypoint, the exit handler, to the last line of `run.json`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argosy.errors import ManifestError, UsageError
from argosy.local import state as states
from argosy.local.approval import Approval
from argosy.local.artifacts import from_text
from argosy.local.calls import Watch, bind
from argosy.local.check import check
from argosy.local.composites import run_composite
from argosy.local.context import EXIT_HANDLER, HOOKS, Context, Only, Reuse
from argosy.local.engine import Engine
from argosy.local.errors import NodeError
from argosy.local.job import Inputs, Job, Outcome, Plan, Produced, Reporter, WorkflowResult
from argosy.local.kept import Kept
from argosy.local.left import left_to_run, run_by
from argosy.local.model import Arguments, Hook, Template, Workflow
from argosy.local.node import KINDS, PLAIN, Node, Phase, Values, now, parse_time
from argosy.local.program import base_environment, check_environment
from argosy.local.scope import Scope, global_variables, parameter_variables
from argosy.local.shared import held
from argosy.local.standbys import Standbys
from argosy.local.texts import compact
from argosy.manifest import golang
from argosy.manifest.emit import to_yaml
from argosy.manifest.parts import parameters_of, spec_of, with_spec
from argosy.step.files import write_text

if TYPE_CHECKING:
    from argosy.local.containers import Containers


DEFAULT_PARALLEL = 4
_SUFFIX = "abcdefghijklmnopqrstuvwxyz0123456789"


def run_manifest(
    manifest: Mapping[str, Any],
    *,
    parameters: Mapping[str, str],
    run_dir: Path,
    environment: Mapping[str, str],
    reporter: Reporter,
    max_parallel: int | None = None,
    resume: bool = False,
    kept: Kept | None = None,
    only: Only | None = None,
    reuse: Reuse | None = None,
    approval: Approval | None = None,
    linted: bool = False,
    containers: Containers | None = None,
    name: str | None = None,
) -> WorkflowResult:
    """Run a Workflow, WorkflowTemplate or CronWorkflow on this machine.

    Its steps are processes; with `containers` each runs in its image, and has of `environment` and of
    `kept.variables` all that it does not declare itself.

    `run_dir` is made if need be and holds `workflow.yaml`, `run.json`, `steps/` and `artifacts/`. Without
    `resume` it must not hold a run; with it, nodes that Succeeded are kept and everything else runs again,
    under the same name and uid, with the parameters of the first time where none are given. `environment`
    is added to what a process needs of this one's; `kept` has the keys of Secrets and ConfigMaps.
    `approval` tells which suspended steps go on. `max_parallel` programs run at once (4, or less if the
    workflow's `parallelism` says so). `linted`: the linter has seen the manifest. `name` is the workflow's;
    without it the manifest says, as to Argo.

    Raises UsageError (ManifestError for the manifest) before anything is started. A later failure is in
    the result; SIGINT, SIGTERM and SIGHUP (unless `nohup` ignores it) stop every step and end the workflow
    as Failed.
    """
    run_dir = run_dir.resolve()
    earlier = states.load(run_dir) if resume else None
    values, linted = {**_known(manifest, earlier), **parameters}, linted or earlier is not None
    plan = check(manifest, values, linted=linted, in_images=containers is not None)
    kept = kept or Kept()
    if containers is not None and (reuse is None or not reuse.dry):
        containers.prepare(plan.workflow)
    done = None if earlier is None else {node["name"]: Phase(node["phase"]) for node in earlier["nodes"]}
    merged = checked_environment(plan, environment, kept, only, done, in_images=containers is not None)
    _make_folder(run_dir, resume)
    lock = states.lock(run_dir)
    try:
        plan = _named(plan, run_dir, earlier, name)
        _write_manifest(run_dir / "workflow.yaml", _as_run(manifest, plan))
        how = (only, reuse, approval or Approval(), containers)
        return _run(plan, run_dir, merged, kept, reporter, max_parallel, earlier, *how)
    finally:
        os.close(lock)


def checked_environment(
    plan: Plan,
    given: Mapping[str, str],
    kept: Kept,
    only: Only | None = None,
    done: Mapping[str, Phase] | None = None,
    *,
    in_images: bool = False,
) -> dict[str, str]:
    """Variables of every step of a run, `given` among them; `done` are the nodes that it goes on from.

    Raises:
        ManifestError: a step that is to run declares a Secret or ConfigMap that nobody gives.
    """
    own = Path(sys.executable)
    merged = {**kept.variables, **given} if in_images else base_environment(os.environ, kept, given, own)
    names: Iterable[str] = plan.workflow.templates
    if only is not None:
        names = run_by(plan.workflow, only.template)
    elif done is not None:
        names = left_to_run(plan.workflow, done)
    check_environment(plan.workflow, merged, kept, names)
    return merged


def _run(
    plan: Plan,
    run_dir: Path,
    environment: Mapping[str, str],
    kept: Kept,
    reporter: Reporter,
    max_parallel: int | None,
    earlier: dict[str, Any] | None,
    only: Only | None,
    reuse: Reuse | None,
    approval: Approval,
    containers: Containers | None,
) -> WorkflowResult:
    started = earlier["startedAt"] if earlier else now()
    identity = {"name": plan.name, "uid": plan.uid, "startedAt": started, "parameters": dict(plan.parameters)}
    state = states.RunState(run_dir, identity, reporter)
    if earlier:
        state.restore(earlier["nodes"])
    state.begin()
    scope = _globals(plan, parse_time(started))
    limits = [max_parallel or DEFAULT_PARALLEL, plan.workflow.parallelism or sys.maxsize]

    async def main() -> WorkflowResult:
        slots = asyncio.Semaphore(min(limits))
        captured = _captured_templates(plan.workflow)
        reporter.on_start(plan)
        with _plain_path(run_dir) as seen_dir:
            standbys = Standbys(environment)
            ctx = Context(plan, run_dir, seen_dir, state, environment, slots, scope, captured, standbys, kept)
            ctx.only, ctx.reuse, ctx.approval, ctx.containers = only, reuse, approval, containers
            with _Signals(ctx) as signals:
                state.on_lost = signals.stop
                try:
                    result = await _run_workflow(ctx, started)
                finally:
                    await standbys.close()
        reporter.on_finish(result)
        return result

    return _in_loop(main)


def _in_loop(main: Callable[[], Any]) -> WorkflowResult:
    """Run in an event loop of its own, also where this thread already has one (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())  # type: ignore[no-any-return]
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(asyncio.run(main())))
    thread.start()
    thread.join()
    return box[0]  # type: ignore[no-any-return]


class _Signals:
    """SIGINT, SIGTERM and SIGHUP cancel the run, where signals can be received (the main thread)."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._task: asyncio.Task[Any] | None = None
        self._installed: list[signal.Signals] = []
        self._stopping = False

    def __enter__(self) -> _Signals:
        self._task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.stop, f"stopped by {number.name}")
                self._installed.append(number)
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
                loop.add_signal_handler(signal.SIGHUP, self._hang_up)
                self._installed.append(signal.SIGHUP)
        return self

    def _hang_up(self) -> None:
        """End the run, whose terminal is gone; shell and kernel may both say so, and once is enough."""
        if not self._stopping:
            self.stop(f"stopped by {signal.SIGHUP.name}")

    def stop(self, reason: str) -> None:
        """End the run."""
        assert self._task is not None
        self._stopping = True
        self._ctx.stop_reason = reason
        self._task.cancel()

    def __exit__(self, *_: object) -> None:
        for number in self._installed:
            asyncio.get_running_loop().remove_signal_handler(number)


def _known(manifest: Mapping[str, Any], earlier: dict[str, Any] | None) -> dict[str, str]:
    """The parameters of the earlier session that the manifest still has."""
    if earlier is None:
        return {}
    declared = {item["name"] for item in parameters_of(manifest)}
    return {name: value for name, value in earlier.get("parameters", {}).items() if name in declared}


def _make_folder(run_dir: Path, resume: bool) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the run's folder {run_dir} cannot be made: {error}") from error
    if not resume and (run_dir / states.STATE_FILE).exists():
        raise UsageError(f"{run_dir} holds a run already: resume it, or name another folder")


def _write_manifest(path: Path, text: str) -> None:
    try:
        write_text(path, text, sync=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


@contextmanager
def _plain_path(run_dir: Path) -> Iterator[Path]:
    """`run_dir` by a path without spaces and the like: its own, or a link in the temporary folder."""
    if all(PLAIN.issuperset(part) for part in run_dir.parts[1:]):
        yield run_dir
        return
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        link = Path(folder) / "run"
        link.symlink_to(run_dir, target_is_directory=True)
        yield link


def _named(plan: Plan, run_dir: Path, earlier: dict[str, Any] | None, name: str | None) -> Plan:
    """The plan with name and uid, the tags in the manifest's own parameter values replaced."""
    if earlier:
        name, uid, created = earlier["name"], earlier["uid"], parse_time(earlier["startedAt"])
    else:
        name = name or _name(plan.workflow)
        uid, created = str(uuid.uuid4()), datetime.now(timezone.utc)
    scope = Scope()
    scope.variables.update(global_variables(plan.workflow, name, uid, created.astimezone(timezone.utc)))
    parameters = {
        key: value if key in plan.given else scope.render(value) for key, value in plan.parameters.items()
    }
    return replace(plan, name=name, uid=uid, run_dir=run_dir, parameters=parameters)


def _name(workflow: Workflow) -> str:
    if workflow.name:
        return workflow.name
    if workflow.generate_name:
        return workflow.generate_name + "".join(random.choices(_SUFFIX, k=5))
    raise ManifestError("metadata: the workflow needs a name or a generateName")


def _globals(plan: Plan, created: datetime) -> Scope:
    scope = Scope()
    created = created.astimezone(timezone.utc)
    scope.variables.update(global_variables(plan.workflow, plan.name, plan.uid, created))
    scope.variables.update(parameter_variables("workflow", plan.parameters))
    return scope


def _as_run(manifest: Mapping[str, Any], plan: Plan) -> str:
    """The manifest with the name and the arguments of this run."""
    document = {**manifest, "metadata": {**(manifest.get("metadata") or {}), "name": plan.name}}
    document["metadata"].pop("generateName", None)
    if plan.parameters:
        spec = spec_of(manifest)
        given = [{**item, "value": plan.parameters[item["name"]]} for item in parameters_of(manifest)]
        arguments = {**(spec.get("arguments") or {}), "parameters": given}
        document = with_spec(document, {**spec, "arguments": arguments})
    return to_yaml(document)


async def _run_workflow(ctx: Context, started: str) -> WorkflowResult:
    """Run the entrypoint, then, whatever happened, the exit handler; only a stop by a signal skips that."""
    engine = Engine(ctx)
    for handler in (EXIT_HANDLER, *(f"{HOOKS}.{name}" for name in ctx.plan.workflow.hooks)):
        ctx.state.discard(handler)
    hooks = _hooks(engine)
    try:
        hooks.look(ctx.globals)
        outcome = await _within_deadline(ctx, _locked(engine))
        _tell(ctx, outcome)
        hooks.look(ctx.globals)
        outcome = await _exit_handler(engine, outcome)
        await hooks.over()
    except asyncio.CancelledError:
        outcome = Outcome(Phase.FAILED, ctx.stop_reason)
    outputs = _outputs(ctx, outcome.produced)
    finished = now()
    extra = {"message": outcome.message, "finishedAt": finished, "outputs": outputs.to_dict()}
    if lost := ctx.state.close(outcome.phase, extra):
        outcome = _unkept(outcome, lost)
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


def _unkept(outcome: Outcome, lost: str) -> Outcome:
    """An outcome that the run's folder does not have, for the reason `lost`."""
    if outcome.phase is Phase.SUCCEEDED:
        return replace(outcome, phase=Phase.ERROR, message=lost)
    if lost in outcome.message:
        return outcome
    return replace(outcome, message=f"{outcome.message}; {lost}")


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


def _tell(ctx: Context, outcome: Outcome) -> None:
    """Let hooks and the exit handler know how the entrypoint ended."""
    ctx.tick()
    ctx.globals.variables["workflow.status"] = outcome.phase.value
    ctx.globals.variables["workflow.failures"] = _failures(ctx)


def _hooks(engine: Engine) -> Watch:
    """The workflow's own hooks, which change nothing else."""
    ctx = engine.ctx

    def refuse(hook: Hook, name: str, error: NodeError) -> None:
        kind = KINDS[ctx.plan.workflow.templates[hook.template].kind]
        ctx.state.put(Node(name, hook.template, kind, Phase.ERROR, finished_at=now(), message=str(error)))

    async def run(hook: Hook, name: str, _: Scope) -> None:
        template = ctx.plan.workflow.templates[hook.template]
        try:
            inputs = _inputs(ctx, template, hook.arguments)
        except NodeError as error:
            refuse(hook, name, error)
            return
        await engine.execute(Job(template, name, inputs, fresh=True))

    return Watch(ctx.plan.workflow.hooks, run, refuse)


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


def _captured_templates(workflow: Workflow) -> frozenset[str]:
    """Templates of which somebody asks for the standard output (`outputs.result`)."""
    return frozenset(
        call.template
        for template in workflow.templates.values()
        for call in template.calls
        if f"{'tasks' if template.kind == 'dag' else 'steps'}.{call.name}.outputs.result" in template.results
    )
