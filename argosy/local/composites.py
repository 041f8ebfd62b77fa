"""Templates that call others: a DAG, whose tasks start as soon as they can, and steps, group by group."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from argosy.local.calls import FAILED_FAST, Executor, Finished, Site, gather, resolve, run_call
from argosy.local.errors import NodeError
from argosy.local.job import Job, Outcome, Produced
from argosy.local.model import Call, Template
from argosy.local.node import Phase
from argosy.local.scope import Scope, composed
from argosy.manifest import depends


async def run_composite(engine: Executor, job: Job, prefix: str, scope: Scope) -> Outcome:
    """Carry a DAG or steps template out, as the one or the other."""
    run = _run_dag if job.template.kind == "dag" else _run_steps
    return await run(engine, job, prefix, scope)


async def _run_dag(engine: Executor, job: Job, prefix: str, scope: Scope) -> Outcome:
    """Carry a DAG out. Its phase is that of its targets: tasks nothing depends on, or `target`.

    A target that was skipped or omitted has the phase of the branch that leads to it, so a failure that
    nobody handles fails the DAG. As in Argo, a task whose dependencies are met runs also after another branch
    has failed, whatever failFast says.
    """
    return await _Dag(engine, job, prefix, scope).run()


def conditions(template: Template) -> dict[str, depends.Depends]:
    """The tasks that each task waits for. Raises ConditionError."""
    return {task.name: condition_of(task) for task in template.calls}


def condition_of(task: Call) -> depends.Depends:
    """The tasks that one task waits for, from its `depends` or `dependencies`."""
    return depends.of_dependencies(task.dependencies) if task.depends is None else depends.parse(task.depends)


class _Dag:
    def __init__(self, engine: Executor, job: Job, prefix: str, scope: Scope) -> None:
        self.engine, self.job = engine, job
        self.conditions = conditions(job.template)
        self.asked = self._asked(scope)
        self.tasks = {task.name: task for task in job.template.calls if task.name in self._wanted()}
        needed = {name for task in self.tasks for name in self.conditions[task].tasks}
        self.targets = [name for name in self.tasks if name not in needed or name in self.asked]
        self.finished: dict[str, Finished] = {}
        self.branches: dict[str, Phase] = {}
        self.waiting = {name: set(self.conditions[name].tasks) for name in self.tasks}
        self.running: dict[asyncio.Task[Finished], str] = {}
        self.known: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        """Why what comes after a task cannot start, by the task."""
        self.broken = ""
        """The task whose condition could not be read."""
        artifacts = {f"inputs.artifacts.{name}": path for name, path in job.inputs.artifacts.items()}
        self.scope = scope.inner(self.known, artifacts)
        limit = job.template.parallelism
        slots = asyncio.Semaphore(limit) if limit else None
        self.site = Site(engine, prefix, job.name, "tasks", self.scope, slots, job.template.fail_fast)

    async def run(self) -> Outcome:
        self.site.expect(self.tasks.values())
        try:
            while self._start_ready() or self.running:
                self.site.foresee(self._coming)
                done, _ = await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._finish(self.running.pop(task), task.result())
        except asyncio.CancelledError:
            await self._cancel()
            raise
        return self._outcome()

    def _asked(self, scope: Scope) -> list[str]:
        names = scope.render(self.job.template.target).split()
        unknown = next((name for name in names if name not in self.conditions), None)
        if unknown is not None:
            raise NodeError(f"target '{unknown}' is no task of the DAG")
        return names

    def _wanted(self) -> set[str]:
        if not self.asked:
            return set(self.conditions)
        wanted, queue = set(), list(self.asked)
        while queue:
            name = queue.pop()
            if name not in wanted:
                wanted.add(name)
                queue.extend(self.conditions[name].tasks)
        return wanted

    def _start_ready(self) -> bool:
        """Start or omit whatever can be decided now; False if nothing was left to decide.

        After a condition that could not be read nothing more starts.
        """
        while ready := [name for name, unmet in self.waiting.items() if not unmet]:
            for name in ready:
                if self.broken:
                    self._omit(name, f"not started: '{self.broken}' could not be resolved")
                elif not self._may_run(name):
                    self._omit(name, f"depends '{self.conditions[name].source}' is not met")
                else:
                    self._start(name)
        return False

    def _coming(self) -> list[Call]:
        """Tasks that only what runs now stands in the way of, or other such tasks; the nearest first.

        Not those whose `when` is known to be false, nor what is asked of their outputs.
        """
        known, idle, coming = set(self.running.values()), set[str](), list[Call]()
        for name, unmet in self.waiting.items():
            if unmet <= known:
                known.add(name)
                if self.site.may_come(self.tasks[name], bool(self.conditions[name].tasks & idle)):
                    coming.append(self.tasks[name])
                else:
                    idle.add(name)
        return coming

    def _start(self, name: str) -> None:
        del self.waiting[name]
        upstream = {self.finished[needed].node.name for needed in self.conditions[name].tasks}
        if problem := next((self.problems[n] for n in self.conditions[name].tasks if n in self.problems), ""):
            node = self.site.end(
                self.tasks[name], self.site.name(self.tasks[name]), self.job.name, Phase.ERROR, problem
            )
            self.problems[name] = problem
            self._finish(name, self.site.finished(self.tasks[name], node, Produced()))
            return
        fresh = self.job.fresh or not upstream.isdisjoint(self.engine.ctx.executed)
        task = asyncio.ensure_future(run_call(self.site, self.tasks[name], fresh=fresh))
        self.running[task] = name

    def _omit(self, name: str, message: str) -> None:
        del self.waiting[name]
        self._finish(name, self.site.omit(self.tasks[name], message))

    def _finish(self, name: str, finished: Finished) -> None:
        self.finished[name] = finished
        self.branches[name] = self._branch(name)
        if finished.problem and self.tasks[name].loop is None:
            self.broken = name
        elif finished.problem:
            self.problems[name] = finished.problem
        self.known.update(finished.variables)
        self.scope.artifacts.maps[0].update(finished.artifacts)
        for unmet in self.waiting.values():
            unmet.discard(name)

    def _may_run(self, name: str) -> bool:
        condition = self.conditions[name]
        return condition.holds({needed: self._results(needed) for needed in condition.tasks})

    def _results(self, name: str) -> frozenset[str]:
        task, finished = self.tasks[name], self.finished[name]
        is_ready = self.site.template(task).daemon and finished.node.phase is Phase.SUCCEEDED
        return depends.results(
            "Daemoned" if is_ready else finished.node.phase.value,
            failed_is_fine=task.continue_on_failed,
            error_is_fine=task.continue_on_error,
            items=finished.items,
        )

    def _branch(self, name: str) -> Phase:
        """A task's phase; of one that did not run, the worst of the branches that lead to it."""
        phase = self.finished[name].node.phase
        if phase not in (Phase.SKIPPED, Phase.OMITTED):
            return phase
        above = [self.branches[needed] for needed in sorted(self.conditions[name].tasks)]
        return next((phase for phase in above if phase.is_bad), Phase.SUCCEEDED)

    def _failing(self) -> list[str]:
        failing = []
        for name in self.targets:
            phase = self.branches.get(name, Phase.PENDING)
            task = self.tasks[name]
            fine = task.continue_on_failed if phase is Phase.FAILED else task.continue_on_error
            if phase.is_bad and not fine:
                failing.append(name)
        return failing

    def _outcome(self) -> Outcome:
        if self.site.is_over:
            return Outcome(Phase.FAILED, FAILED_FAST)
        failing = self._failing()
        if failing:
            bad = [name for name, finished in self.finished.items() if finished.node.phase.is_bad]
            names = ", ".join(f"'{name}'" for name in bad)
            decides = failing[0 if self.job.template.dag_fail_fast else -1]
            return Outcome(self.branches[decides], f"task{'s' if len(bad) > 1 else ''} {names} failed")
        try:
            return Outcome(Phase.SUCCEEDED, produced=_outputs(self.job.template, self.scope))
        except NodeError as error:
            return Outcome(Phase.ERROR, str(error))

    async def _cancel(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        self.site.give_up([self.tasks[name] for name in self.waiting])


async def _run_steps(engine: Executor, job: Job, prefix: str, scope: Scope) -> Outcome:
    """Carry the groups out in order; the first with a failure not covered by continueOn is the last."""
    known: dict[str, str] = {}
    artifacts = {f"inputs.artifacts.{name}": path for name, path in job.inputs.artifacts.items()}
    inner = scope.inner(known, artifacts)
    limit = job.template.parallelism
    slots = asyncio.Semaphore(limit) if limit else None
    site = Site(engine, prefix, job.name, "steps", inner, slots, job.template.fail_fast)
    site.expect(job.template.calls)
    fresh = job.fresh
    for index, group in enumerate(job.template.groups):
        site.foresee(partial(_later, job, index))
        if (refused := _unresolved(site, job, index)) is not None:
            return refused
        try:
            done = await gather(run_call(site, call, fresh=fresh) for call in group)
        except asyncio.CancelledError:
            site.give_up(_later(job, index))
            raise
        if site.is_over:
            for call in _later(job, index):
                site.omit(call, f"not started: {FAILED_FAST}")
            return Outcome(Phase.FAILED, FAILED_FAST)
        failed = [call.name for call, finished in zip(group, done, strict=True) if _fails(call, finished)]
        if failed:
            names = ", ".join(f"'{name}'" for name in failed)
            for call in _later(job, index):
                site.omit(call, f"not started: {names} failed")
            return Outcome(Phase.FAILED, f"step{'s' if len(failed) > 1 else ''} {names} failed")
        problem = next((finished.problem for finished in done if finished.problem), "")
        if problem:
            for call in _later(job, index):
                site.omit(call, f"not started: {problem}")
            return Outcome(Phase.ERROR, problem)
        fresh = fresh or any(finished.node.name in engine.ctx.executed for finished in done)
        for finished in done:
            known.update(finished.variables)
            inner.artifacts.maps[0].update(finished.artifacts)
    try:
        return Outcome(Phase.SUCCEEDED, produced=_outputs(job.template, inner))
    except NodeError as error:
        return Outcome(Phase.ERROR, str(error))


def _unresolved(site: Site, job: Job, index: int) -> Outcome | None:
    """How the template ends if a call of the group cannot be resolved: then none of the group starts."""
    for call in job.template.groups[index]:
        try:
            resolve(site, call)
        except NodeError as error:
            node = site.end(call, site.name(call), job.name, Phase.ERROR, str(error))
            for other in (*job.template.groups[index], *_later(job, index)):
                if other is not call:
                    site.omit(other, f"not started: '{call.name}' could not be resolved")
            return Outcome(Phase.FAILED, f"step '{call.name}': {node.message}")
    return None


def _later(job: Job, index: int) -> list[Call]:
    return [call for group in job.template.groups[index + 1 :] for call in group]


def _fails(call: Call, finished: Finished) -> bool:
    phase = finished.node.phase
    return phase.is_bad and not (call.continue_on_failed if phase is Phase.FAILED else call.continue_on_error)


def _outputs(template: Template, scope: Scope) -> Produced:
    """The outputs of a DAG or steps template, from its tasks. Raises NodeError for one that nobody made."""
    parameters: dict[str, str] = {}
    artifacts: dict[str, Path] = {}
    for output in template.outputs:
        value = composed(output, scope)
        if value is None:
            raise NodeError(
                f"output parameter '{output.name}' has no value: {output.parameter} was not produced"
            )
        parameters[output.name] = value
    for artifact in template.output_artifacts:
        source = scope.artifact(artifact.source, artifact.expression)
        if source is not None:
            artifacts[artifact.name] = source
        elif not artifact.optional:
            raise NodeError(
                f"output artifact '{artifact.name}' does not exist: {artifact.source} was not produced"
            )
    return Produced(parameters, artifacts)
