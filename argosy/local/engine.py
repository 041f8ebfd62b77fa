"""Carries out templates: keeps what an earlier session finished, retries, and writes down what happened."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from argosy.errors import ManifestError
from argosy.local.composites import run_composite
from argosy.local.context import EXIT_HANDLER, Context, Reuse
from argosy.local.daemons import Daemons
from argosy.local.errors import NodeError
from argosy.local.job import WOULD_ASK, WOULD_RUN, Inputs, Job, Outcome, Produced
from argosy.local.marks import Mark, mark
from argosy.local.model import Request, Retry, Template
from argosy.local.node import KINDS, Attempt, Node, Phase, Values, now, parse_time
from argosy.local.pod import Pod
from argosy.local.request import carry_out
from argosy.local.scope import Scope, parameter_variables
from argosy.local.shared import held
from argosy.local.texts import bare, duration

TRANSIENT_PATTERN = "TRANSIENT_ERROR_PATTERN"
"""Environment variable with a regular expression of messages that OnTransientError retries, as in Argo."""

_RETRIED = {
    "Always": (Phase.FAILED, Phase.ERROR),
    "OnFailure": (Phase.FAILED,),
    "OnError": (Phase.ERROR,),
}


class Engine:
    """Runs jobs of one run."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.daemons = Daemons()
        self._begun: dict[str, str] = {}  # when a node's attempt came to its turn

    async def execute(self, job: Job) -> tuple[Node, Produced]:
        """Carry a job out to its end; never raises for what goes wrong inside of it."""
        kept = None if job.fresh or job.template.daemon else self.ctx.state.kept(job.name)
        if kept is not None:
            return kept, self._restored(job.template, kept)
        if job.fresh or job.template.is_leaf:  # a composition goes on with what it had finished inside
            self.ctx.state.empty(job.name)
        if not job.template.daemon:  # one that is started again gives nothing new to what comes after
            self.ctx.executed.add(job.name)
        kind = KINDS[job.template.kind]
        inputs, queued = self._inputs(job), job.queued_at or now()
        node = Node(job.name, job.template.name, kind, parent=job.parent, inputs=inputs, queued_at=queued)
        self.ctx.state.put(node)
        try:
            if self.ctx.reuse is None and not job.template.locks:
                return await self._attempts(job)
            if self._dry or not job.template.locks:
                return await self._unless_known(job)
            async with held(job.template.locks, self.ctx.kept, self._inside(job).render, self._waiting(job)):
                return await self._unless_known(job)
        except NodeError as error:
            return self.ctx.state.put(self._ended(job.name, Phase.ERROR, str(error))), Produced()
        except asyncio.CancelledError:
            if not self._current(job).phase.is_final:
                self.ctx.state.put(self._ended(job.name, Phase.FAILED, self.ctx.stop_reason))
            raise

    @property
    def _dry(self) -> bool:
        """Whether it is only asked which steps would run."""
        return self.ctx.reuse is not None and self.ctx.reuse.dry

    def _inside(self, job: Job) -> Scope:
        return self.ctx.globals.inner(parameter_variables("inputs", job.inputs.parameters))

    def _waiting(self, job: Job) -> Callable[[str], None]:
        def tell(message: str) -> None:
            node = self._current(job)
            if node.message != message:
                self.ctx.state.put(replace(node, message=message))

        return tell

    def foresee(self, template: Template, name: str) -> bool:
        """A job that comes next: start its first attempt's program before its turn, if that may be."""
        if self._dry or not template.is_leaf or not self.ctx.standbys.wants(name):
            return False
        attempt = f"{name}(0)" if template.retry else name
        return Pod(self.ctx, template, Inputs(), name, attempt, 0).start_early()

    def foresee_end(self) -> bool:
        """Nothing more of the workflow comes: the same for a step of its exit handler after a success."""
        workflow = self.ctx.plan.workflow
        if workflow.on_exit is None or self.ctx.only is not None:
            return False
        scope = self.ctx.globals.inner({"workflow.status": Phase.SUCCEEDED.value})
        handler = workflow.templates[workflow.on_exit.template]
        for call in handler.calls:
            with suppress(NodeError):
                if call.loop is None and call.when and scope.holds(call.when)[0]:
                    return self.foresee(workflow.templates[call.template], f"{EXIT_HANDLER}.{call.name}")
        return False

    async def _unless_known(self, job: Job) -> tuple[Node, Produced]:
        """Take the outputs of an earlier run, or carry the job out and remember what it made."""
        reuse, memo = self.ctx.reuse, job.template.memo
        asks = job.template.suspended is not None and self.ctx.approval.beforehand(job.name) is None
        if self._dry and asks:
            return self.ctx.state.put(self._ended(job.name, Phase.ERROR, WOULD_ASK)), Produced()
        if reuse is None or not (job.template.acts or memo):
            return await self._attempts(job)
        key: str | None = None
        max_age = None
        if memo is not None:
            key, max_age = memo.resolved(self._inside(job).render)
        elif job.template.is_leaf:
            key = await asyncio.to_thread(self._key, reuse, job)
        before = _moment(job.queued_at) if job.queued_at else None
        found = await asyncio.to_thread(reuse.find, key, job.name, max_age, before) if key else None
        if found is not None:
            self.ctx.standbys.discard(job.name)
            run, outputs = found
            node = replace(self._ended(job.name, Phase.SUCCEEDED, ""), outputs=outputs, reused=run)
            node = self.ctx.state.put(node)
            return node, self._restored(job.template, node)
        if reuse.dry and job.template.acts:
            return self.ctx.state.put(self._ended(job.name, Phase.ERROR, WOULD_RUN)), Produced()
        node, produced = await self._attempts(job, hashed=bool(key))
        if key and node.phase is Phase.SUCCEEDED and not reuse.dry:
            await asyncio.to_thread(reuse.keep, key, produced, node.outputs.marks or {})
        return node, produced

    def _key(self, reuse: Reuse, job: Job) -> str | None:
        pod = Pod(self.ctx, job.template, job.inputs, job.name, job.name, 0)
        return reuse.key(job.template.name, job.inputs, pod.scope.variables)

    async def _attempts(self, job: Job, *, hashed: bool = False) -> tuple[Node, Produced]:
        retry, began = job.template.retry, time.monotonic()
        total = self._seconds(job, job.template.timeout, "timeout")
        if retry is None:
            return await self._marked(job, await self._attempt(job, job.name, 0, total), hashed=hashed)
        scope = self._inside(job)
        attempts: list[Attempt] = []
        while True:
            left = None if total is None else max(0.01, total - (time.monotonic() - began))
            name = f"{job.name}({len(attempts)})"
            self._begun[job.name] = now()
            outcome = await self._attempt(job, name, len(attempts), left)
            started = self._begun.pop(job.name)
            attempts.append(Attempt(name, outcome.phase, started, now(), outcome.exit_code, outcome.message))
            elapsed = time.monotonic() - began
            over = not outcome.phase.is_bad or (total is not None and elapsed >= total)
            try:
                delay = None if over else next_delay(retry, scope, attempts, elapsed)
            except NodeError as error:
                return self._finish(job, replace(outcome, phase=Phase.ERROR, message=str(error)), attempts)
            if delay is None:
                return await self._marked(job, outcome, attempts, hashed=hashed)
            message = f"attempt {len(attempts)} failed ({outcome.message})"
            waiting = replace(self._current(job), attempts=tuple(attempts), message=message)
            self.ctx.state.put(replace(waiting, retry_at=now(delay)))
            await asyncio.sleep(delay)

    async def _attempt(self, job: Job, name: str, number: int, left: float | None) -> Outcome:
        # Thousands may wait here for a slot: what an attempt needs is made once it has one.
        if job.template.suspended is not None:
            return await self._suspend(job, self._inside(job))
        if job.template.request is not None:
            return await self._request(job, job.template.request, left)
        if not job.template.is_leaf:
            return await self._composite(job, name, self._inside(job))
        deadline = self._seconds(job, job.template.deadline, "activeDeadlineSeconds")
        limits = [limit for limit in (deadline, left) if limit is not None]
        whole = left is not None and (deadline is None or left <= deadline)
        async with self.ctx.slots:
            pod = Pod(self.ctx, job.template, job.inputs, job.name, name, number)
            self._running(job, log=None if job.template.containers else pod.log)  # each has its own
            try:
                limit = min(limits) if limits else None
                if job.template.daemon:
                    return await self.daemons.started(self._enclosing(job), pod, limit)
                return _of_whole(job, whole, await pod.run(limit))
            except NodeError as error:
                return Outcome(Phase.ERROR, str(error), log_tail=pod.tail())
            except OSError as error:
                return Outcome(Phase.ERROR, f"the step's folder cannot be used: {error}", log_tail=pod.tail())

    async def _request(self, job: Job, request: Request, left: float | None) -> Outcome:
        async with self.ctx.slots:
            self._running(job)
            try:
                return await carry_out(request, self._inside(job), self.ctx.kept, left)
            except NodeError as error:
                return Outcome(Phase.ERROR, str(error))

    async def _suspend(self, job: Job, scope: Scope) -> Outcome:
        """Wait until somebody approves, or the step's own time is over."""
        self._running(job)
        limit = self._seconds(job, job.template.suspended or None, "suspend.duration")
        approval = self.ctx.approval
        supplied = approval.beforehand(job.name)
        if supplied is None and limit is not None:
            sooner = f"--approve {job.name} lets it go on at once"
            self._waiting(job)(f"goes on by itself after {limit:g} s; {sooner}")
            supplied = await approval.within(job.name, limit)
        elif supplied is None:
            supplied = await approval.of(job.name)
        if supplied is None:
            return Outcome(
                Phase.ERROR,
                f"nobody has approved '{job.name}': resume the run with --approve {job.name}",
            )
        return Outcome(Phase.SUCCEEDED, produced=Produced(_supplied_outputs(job.template, supplied, scope)))

    async def _composite(self, job: Job, name: str, scope: Scope) -> Outcome:
        """A DAG or steps."""
        if job.name:
            self._running(job)
        try:
            return await run_composite(self, job, name, scope)
        finally:
            await self.daemons.end(job.name)

    def _enclosing(self, job: Job) -> str:
        """The DAG or steps node that a job is inside of; the entrypoint's has no name."""
        parent = self.ctx.state.nodes.get(job.parent)
        return parent.parent if parent and parent.kind == "Loop" else job.parent

    def _running(self, job: Job, log: Path | None = None) -> None:
        node = self._current(job)
        if job.begun is not None:
            job.begun()
        self._begun[job.name] = now()
        relative = None if log is None else log.relative_to(self.ctx.run_dir).as_posix()
        started = node.started_at or now()
        node = replace(node, phase=Phase.RUNNING, started_at=started, log=relative)
        self.ctx.state.put(replace(node, message="", retry_at=None))

    async def _marked(
        self, job: Job, outcome: Outcome, attempts: Sequence[Attempt] = (), *, hashed: bool
    ) -> tuple[Node, Produced]:
        """Finish a job, the artifacts that its programs made marked; with `hashed` their content is read."""
        made = outcome.produced.artifacts
        if not made or not job.template.is_leaf or outcome.phase is not Phase.SUCCEEDED:
            return self._finish(job, outcome, attempts)
        started = self._current(job).started_at or now()
        took = None if hashed else (parse_time(now()) - parse_time(started)).total_seconds()
        try:
            marks = await asyncio.to_thread(_marks, made, took)
        except asyncio.CancelledError:
            self._finish(job, outcome, attempts)  # what was done is kept
            raise
        return self._finish(job, outcome, attempts, marks)

    def _finish(
        self,
        job: Job,
        outcome: Outcome,
        attempts: Sequence[Attempt] = (),
        marks: Mapping[str, Mark] | None = None,
    ) -> tuple[Node, Produced]:
        produced = outcome.produced
        artifacts = {name: self.ctx.relative(source) for name, source in produced.artifacts.items()}
        node = replace(
            self._ended(job.name, outcome.phase, outcome.message),
            outputs=Values(produced.parameters, artifacts, produced.result, marks),
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
        ended = replace(node, phase=phase, message=message, started_at=started, finished_at=now())
        return replace(ended, retry_at=None)

    def _inputs(self, job: Job) -> Values:
        artifacts = {name: self.ctx.relative(source) for name, source in job.inputs.artifacts.items()}
        return Values(dict(job.inputs.parameters), artifacts)

    def _seconds(self, job: Job, value: str | None, field: str) -> float | None:
        if value is None:
            return None
        try:
            return duration(self._inside(job).render(value), field)
        except ManifestError as error:
            raise NodeError(str(error)) from error


def _moment(text: str) -> float:
    """The end of the millisecond that `now` wrote."""
    return parse_time(text).timestamp() + 0.001


def _marks(artifacts: Mapping[str, Path], took: float | None) -> dict[str, Mark]:
    """The marks of artifacts that took so many seconds to make; of what cannot be read there is none."""
    found = {}
    for name, path in artifacts.items():
        with suppress(OSError):
            found[name] = mark(path, took)
    return found


def _of_whole(job: Job, whole: bool, outcome: Outcome) -> Outcome:
    """An attempt whose time was that of the whole node is an Error, not a failure of its program."""
    if not outcome.timed_out or not whole:
        return outcome
    message = f"{outcome.message}: '{job.name}' exceeded its timeout"
    return replace(outcome, phase=Phase.ERROR, message=message)


def _supplied_outputs(template: Template, supplied: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """The outputs of a suspend template. Raises NodeError for one that nobody supplied."""
    found: dict[str, str] = {}
    for output in template.outputs:
        value = supplied.get(output.name)
        if value is None and output.default is not None:
            value = scope.render(output.default)
        if value is None:
            raise NodeError(
                f"output '{output.name}' has no value: approve with --approve STEP:{output.name}=VALUE"
            )
        found[output.name] = value
    return found


def next_delay(retry: Retry, scope: Scope, attempts: Sequence[Attempt], elapsed: float) -> float | None:
    """Seconds to wait before another attempt; None if there is none.

    `attempts` were made so far, all bad; `elapsed` seconds went by since the first began. Raises NodeError
    for a limit that is no number and an expression that is neither true nor false.
    """
    last = attempts[-1]
    limit = _retry_limit(retry, scope)
    if limit is not None and len(attempts) > limit:
        return None
    if not _is_retried(retry.policy, last) or not _retry_expression_holds(retry, scope, attempts):
        return None
    if retry.duration is None:
        raise NodeError("retryStrategy.backoff has no duration: no base duration specified for retryStrategy")
    delay = retry.duration * retry.factor ** (len(attempts) - 1)
    if retry.cap is not None:
        delay = min(delay, retry.cap)
    if retry.max_duration is not None and elapsed + delay > retry.max_duration:
        return None
    return delay


def _retry_limit(retry: Retry, scope: Scope) -> int | None:
    if retry.limit is None:
        return None
    text = scope.render(retry.limit)
    if not text.isdecimal():
        raise NodeError(f"retryStrategy.limit is {text!r}, not a whole number")
    return int(text)


def _is_retried(policy: str, last: Attempt) -> bool:
    if policy == "OnTransientError":
        pattern = os.environ.get(TRANSIENT_PATTERN)
        return bool(pattern) and re.search(pattern or "", last.message) is not None
    return last.phase in _RETRIED[policy]


def _retry_expression_holds(retry: Retry, scope: Scope, attempts: Sequence[Attempt]) -> bool:
    if retry.expression is None:
        return True
    last = attempts[-1]
    took = parse_time(last.finished_at) - parse_time(last.started_at)
    known = {
        "retries": str(len(attempts) - 1),
        "lastRetry.exitCode": "-1" if last.exit_code is None else str(last.exit_code),
        "lastRetry.status": last.phase.value,
        "lastRetry.duration": str(int(took.total_seconds())),
        "lastRetry.message": last.message,
    }
    value = scope.inner(known).evaluate(bare(retry.expression))
    if not isinstance(value, bool):
        raise NodeError(f"retryStrategy.expression '{retry.expression}' is {value!r}, not true or false")
    return value
