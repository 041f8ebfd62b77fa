"""A steps template: groups one after the other, the steps of a group side by side."""

from __future__ import annotations

import asyncio
from functools import partial

from argosy.local.calls import FAILED_FAST, gather, resolve, run_call
from argosy.local.errors import NodeError
from argosy.local.job import Job, Outcome
from argosy.local.model import Call
from argosy.local.node import Phase
from argosy.local.outputs import of_composite
from argosy.local.scope import Scope
from argosy.local.site import Executor, Finished, Site


async def run_steps(engine: Executor, job: Job, prefix: str, scope: Scope) -> Outcome:
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
        return Outcome(Phase.SUCCEEDED, produced=of_composite(job.template, inner))
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
