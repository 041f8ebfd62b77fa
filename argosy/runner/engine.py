"""Carries out templates: keeps what an earlier session finished, retries, and writes down what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from argosy.errors import ManifestError
from argosy.runner import duration
from argosy.runner.context import Context
from argosy.runner.dag import run_dag
from argosy.runner.errors import NodeError
from argosy.runner.job import Inputs, Job, Outcome, Produced
from argosy.runner.model import Template
from argosy.runner.node import KINDS, Attempt, Node, Phase, Values, now
from argosy.runner.pod import Pod
from argosy.runner.retry import next_delay
from argosy.runner.scope import Scope, parameter_variables
from argosy.runner.steps import run_steps


class Engine:
    """Runs jobs of one run."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    async def execute(self, job: Job) -> tuple[Node, Produced]:
        """Carry a job out to its end; never raises for what goes wrong inside of it."""
        kept = None if job.fresh else self.ctx.state.kept(job.name)
        if kept is not None:
            return kept, self._restored(job.template, kept)
        if job.fresh or job.template.is_leaf:  # a composition goes on with what it had finished inside
            self.ctx.state.empty(job.name)
        self.ctx.executed.add(job.name)
        node = Node(
            job.name, job.template.name, KINDS[job.template.kind], parent=job.parent, inputs=self._inputs(job)
        )
        self.ctx.state.put(node)
        try:
            return await self._attempts(job)
        except NodeError as error:
            return self.ctx.state.put(self._ended(job.name, Phase.ERROR, str(error))), Produced()
        except asyncio.CancelledError:
            self.ctx.state.put(self._ended(job.name, Phase.FAILED, self.ctx.stop_reason))
            raise

    def foresee(self, template: Template, name: str) -> bool:
        """A job that comes next: start its first attempt's program before its turn, if that may be."""
        if not template.is_leaf or not self.ctx.standbys.wants(name):
            return False
        attempt = f"{name}(0)" if template.retry else name
        return Pod(self.ctx, template, Inputs(), name, attempt, 0).start_early()

    async def _attempts(self, job: Job) -> tuple[Node, Produced]:
        retry, began = job.template.retry, time.monotonic()
        scope = self.ctx.globals.inner(parameter_variables("inputs", job.inputs.parameters))
        total = self._seconds(scope, job.template.timeout, "timeout")
        if retry is None:
            return self._finish(job, await self._attempt(job, job.name, 0, total, scope))
        attempts: list[Attempt] = []
        while True:
            left = None if total is None else max(0.01, total - (time.monotonic() - began))
            name, started = f"{job.name}({len(attempts)})", now()
            outcome = await self._attempt(job, name, len(attempts), left, scope)
            attempts.append(Attempt(name, outcome.phase, started, now(), outcome.exit_code, outcome.message))
            elapsed = time.monotonic() - began
            over = not outcome.phase.is_bad or (total is not None and elapsed >= total)
            delay = None if over else next_delay(retry, scope, attempts, elapsed)
            if delay is None:
                return self._finish(job, outcome, attempts)
            message = f"attempt {len(attempts)} failed ({outcome.message}); trying again in {delay:g} s"
            self.ctx.state.put(replace(self._current(job), attempts=tuple(attempts), message=message))
            await asyncio.sleep(delay)

    async def _attempt(self, job: Job, name: str, number: int, left: float | None, scope: Scope) -> Outcome:
        if not job.template.is_leaf:
            self._running(job)
            run = run_dag if job.template.kind == "dag" else run_steps
            return await run(self, job, name, scope)
        deadline = self._seconds(scope, job.template.deadline, "activeDeadlineSeconds")
        limits = [limit for limit in (deadline, left) if limit is not None]
        async with self.ctx.slots:
            pod = Pod(self.ctx, job.template, job.inputs, job.name, name, number)
            self._running(job, log=pod.log)
            try:
                return await pod.run(min(limits) if limits else None)
            except NodeError as error:
                return Outcome(Phase.ERROR, str(error), log_tail=pod.tail())
            except OSError as error:
                return Outcome(Phase.ERROR, f"the step's folder cannot be used: {error}", log_tail=pod.tail())

    def _running(self, job: Job, log: Path | None = None) -> None:
        node = self._current(job)
        relative = None if log is None else log.relative_to(self.ctx.run_dir).as_posix()
        started = node.started_at or now()
        self.ctx.state.put(replace(node, phase=Phase.RUNNING, started_at=started, log=relative, message=""))

    def _finish(self, job: Job, outcome: Outcome, attempts: Sequence[Attempt] = ()) -> tuple[Node, Produced]:
        produced = outcome.produced
        artifacts = {name: self.ctx.relative(source) for name, source in produced.artifacts.items()}
        node = replace(
            self._ended(job.name, outcome.phase, outcome.message),
            outputs=Values(produced.parameters, artifacts, produced.result),
            exit_code=outcome.exit_code,
            log_tail=outcome.log_tail,
            attempts=tuple(attempts),
        )
        self.publish(job.template, produced)
        return self.ctx.state.put(node), produced

    def publish(self, template: Template, produced: Produced) -> None:
        """Make outputs with a globalName known to the whole workflow."""
        for output in template.outputs:
            if output.global_name and output.name in produced.parameters:
                name = f"workflow.outputs.parameters.{output.global_name}"
                self.ctx.globals.variables[name] = produced.parameters[output.name]
        for artifact in template.output_artifacts:
            if artifact.global_name and artifact.name in produced.artifacts:
                name = f"workflow.outputs.artifacts.{artifact.global_name}"
                self.ctx.globals.artifacts[name] = produced.artifacts[artifact.name]

    def _restored(self, template: Template, node: Node) -> Produced:
        artifacts = {name: self.ctx.run_dir / path for name, path in node.outputs.artifacts.items()}
        produced = Produced(node.outputs.parameters, artifacts, node.outputs.result)
        self.publish(template, produced)
        return produced

    def _current(self, job: Job) -> Node:
        return self.ctx.state.nodes[job.name]

    def _ended(self, name: str, phase: Phase, message: str) -> Node:
        node = self.ctx.state.nodes[name]
        started = node.started_at or now()
        return replace(node, phase=phase, message=message, started_at=started, finished_at=now())

    def _inputs(self, job: Job) -> Values:
        artifacts = {name: self.ctx.relative(source) for name, source in job.inputs.artifacts.items()}
        return Values(dict(job.inputs.parameters), artifacts)

    def _seconds(self, scope: Scope, value: str | None, field: str) -> float | None:
        if value is None:
            return None
        try:
            return duration.seconds(scope.render(value), field)
        except ManifestError as error:
            raise NodeError(str(error)) from error
