"""A `containerSet`: programs of one pod, beside each other or after those that they depend on.

They share the pod's volumes, and nothing else: each has paths of its own. Inputs and outputs are `main`'s.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from argosy.errors import ManifestError
from argosy.local.companions import place_of, run_container
from argosy.local.errors import NodeError, NoProgram
from argosy.local.job import Outcome
from argosy.local.model import Container
from argosy.local.node import Node, Phase, now
from argosy.local.outputs import collect
from argosy.local.place import Place
from argosy.local.process import Ended
from argosy.local.program import told
from argosy.local.shape import duration


class ContainerSet:
    """The containers of one attempt at a `containerSet`; each has a node of its own, below the step's.

    As in Argo's executor, a container whose dependency has failed does not start: it is an Error with the
    executor's own exit code, and so on for those that wait for it; the others go on.
    """

    def __init__(self, pod: Place, limit: float | None) -> None:
        self._pod, self._limit = pod, limit
        self._deadline = None if limit is None else time.monotonic() + limit
        self._over = {container.name: asyncio.Event() for container in pod.template.containers}
        self._ended: dict[str, Ended] = {}
        self._failed: list[tuple[Container, str]] = []
        """In the order of their ends: those that failed by themselves, and why."""
        retry = pod.template.set_retry
        attempts, pause = pod.scope.render(retry.attempts), pod.scope.render(retry.pause)
        if not attempts.isdecimal() or int(attempts) < 1:
            raise NodeError(f"containerSet.retryStrategy.retries is {attempts!r}, not a number above 0")
        try:
            self._attempts, self._pause = int(attempts), duration(pause, "retryStrategy.duration")
        except ManifestError as error:
            raise NodeError(str(error)) from error

    async def run(self) -> Outcome:
        """Carry all of them out. Raises NodeError for a container that cannot be started at all."""
        containers = self._pod.template.containers
        self._pod.ctx.state.expect(
            Node(self._name(c), self._pod.template.name, "Container", parent=self._pod.node, queued_at=now())
            for c in containers
        )
        running = [asyncio.ensure_future(self._carried_out(container)) for container in containers]
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in running:
                task.cancel()
            ends = await asyncio.gather(*running, return_exceptions=True)
        for end in ends:
            if isinstance(end, NodeError | OSError):
                raise end
        return await self._outcome()

    async def _outcome(self) -> Outcome:
        pod, main = self._pod, self._ended.get("main")
        code, result = (main.code, main.result) if main else (None, None)
        produced, missing = await asyncio.to_thread(collect, pod, result, not self._failed)
        if any(ended.timed_out for ended in self._ended.values()):
            message = f"ran longer than {self._limit:g} s and was stopped"
            return Outcome(Phase.FAILED, message, code, produced, pod.tail(), timed_out=True)
        if self._failed:
            container, why = self._failed[0]
            tail = pod.tail(place_of(pod, container)[1])
            return Outcome(Phase.FAILED, f"{container.name}: {why}", code, produced, tail)
        if missing:
            return Outcome(Phase.ERROR, missing, code, produced, pod.tail())
        return Outcome(Phase.SUCCEEDED, exit_code=code, produced=produced)

    async def _carried_out(self, container: Container) -> None:
        """One container, from its dependencies to its node's end."""
        try:
            for dependency in container.dependencies:
                await self._over[dependency].wait()
                ended = self._ended[dependency]
                if ended.timed_out:
                    self._stopped(container, ended)
                    return
                if ended.code:
                    self._refused(container, f"dependency '{dependency}' ended with exit code {ended.code}")
                    return
            await self._tried(container)
        except asyncio.CancelledError:
            self._stopped(container, Ended(143, None, False, None))
            raise
        except (NodeError, OSError) as error:
            self._put(container, phase=Phase.ERROR, message=str(error), finished_at=now())
            raise

    async def _tried(self, container: Container) -> None:
        """Its attempts, one after the other in the same place; their outputs together are its result."""
        results: list[str] = []
        log = place_of(self._pod, container)[1]
        self._put(container, phase=Phase.RUNNING, started_at=now(), log=self._pod.ctx.relative(log))
        for number in range(self._attempts):
            if number:
                await asyncio.sleep(min(self._pause, self._left() or self._pause))
            try:
                capture = container.name == "main" and self._pod.template.name in self._pod.ctx.captured
                ended = await run_container(self._pod, container, self._left(), capture=capture)
            except NoProgram as error:
                self._failed.append((container, str(error)))
                self._refused(container, str(error))
                return
            results += [ended.result] if ended.result else []
            ended = replace(ended, result=None if ended.result is None else "\n".join(results))
            if not ended.code or ended.timed_out:
                break
        if ended.timed_out:
            self._stopped(container, ended)
            return
        why = told(ended, place_of(self._pod, container)[0] / "termination-log")
        if ended.code:
            self._failed.append((container, why))
        self._end(container, ended, why)

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.01, self._deadline - time.monotonic())

    def _stopped(self, container: Container, ended: Ended) -> None:
        reason = self._pod.ctx.stop_reason if not ended.timed_out else "the step's time was over"
        self._ended[container.name] = ended
        self._put(container, phase=Phase.FAILED, message=reason, finished_at=now(), exit_code=ended.code)
        self._over[container.name].set()

    def _refused(self, container: Container, message: str) -> None:
        self._end(container, Ended(NoProgram.CODE, None, False, None), message)

    def _end(self, container: Container, ended: Ended, message: str) -> None:
        phase = Phase.SUCCEEDED if not ended.code else Phase.FAILED
        if ended.code == NoProgram.CODE:  # the executor's own, whoever ended with it
            phase = Phase.ERROR
        self._ended[container.name] = ended
        tail = self._pod.tail(place_of(self._pod, container)[1]) if phase.is_bad else ()
        self._put(
            container, phase=phase, message=message, exit_code=ended.code, finished_at=now(), log_tail=tail
        )
        self._over[container.name].set()

    def _name(self, container: Container) -> str:
        return f"{self._pod.name}.{container.name}"

    def _put(self, container: Container, **changes: Any) -> None:
        node = self._pod.ctx.state.nodes[self._name(container)]
        node = replace(node, **changes)
        started = node.started_at or (now() if node.phase.is_final else None)
        self._pod.ctx.state.put(replace(node, started_at=started))
