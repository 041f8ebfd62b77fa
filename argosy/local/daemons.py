"""Daemons: programs that the steps after them use, until the template that started them ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from argosy.local.job import Outcome
from argosy.local.node import Phase
from argosy.local.probes import Question

if TYPE_CHECKING:
    from argosy.local.pod import Pod


class Daemons:
    """The daemons of a run, by the name of the DAG or steps node that they belong to."""

    def __init__(self) -> None:
        self._running: dict[str, list[asyncio.Task[Outcome]]] = {}

    async def started(self, owner: str, pod: Pod, limit: float | None) -> Outcome:
        """Start one; it is over for the steps after it when it is ready. One that ends before has failed.

        As in Argo, how it ends afterwards changes nothing. Raises NodeError.
        """
        running = asyncio.ensure_future(pod.run(limit))
        ready = asyncio.ensure_future(self._ready(pod))
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            ready.result()
        except BaseException:
            await _stop([running])
            raise
        finally:
            await _stop([ready])
        self._running.setdefault(owner, []).append(running)
        return Outcome(Phase.SUCCEEDED)

    async def end(self, owner: str) -> None:
        """Stop the daemons of a node that has ended, the last first."""
        while found := self._running.pop(owner, []):
            await asyncio.shield(_stop(found[::-1]))

    async def _ready(self, pod: Pod) -> None:
        await pod.started.wait()
        if (probe := pod.container.ready) is not None:
            await Question(probe, pod).answered()


async def _stop(tasks: list[asyncio.Task[Outcome]] | list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
