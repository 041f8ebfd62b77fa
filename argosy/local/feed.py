"""Many jobs that wait for the same few places: each is made when those before it have got theirs.

A job that waits holds its coroutines, its task and its values, seven kilobytes; of a thousand, four run. So
at most `WAITING` of them are made that have not begun. One that has begun, or ended, makes room for the next,
however long it goes on: places that are free are filled as soon as if all were there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")

Begun = Callable[[], None]
"""Told once a job waits no more."""

WAITING = 32


class Feed(Generic[_T]):
    """Jobs by number, of which at most `waiting` wait; `made` of them are there, or over."""

    def __init__(self, count: int, make: Callable[[int, Begun], Awaitable[_T]], waiting: int) -> None:
        self.made = 0
        self._count, self._make = count, make
        self._room = asyncio.Semaphore(waiting)
        self._running: dict[asyncio.Future[_T], None] = {}  # in order
        self._results: dict[int, _T] = {}
        self._broken: asyncio.Future[_T] | None = None

    async def results(self) -> list[_T]:
        """Wait for all; if this is cancelled, or one raises, no other is made, and those are cancelled."""
        try:
            while self.made < self._count and self._broken is None:
                await self._room.acquire()
                if self._broken is None:
                    self._begin(self.made)
            while self._running and self._broken is None:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_EXCEPTION)
            if self._broken is not None:
                self._broken.result()
            return [self._results.pop(number) for number in range(self._count)]
        finally:
            left = list(self._running)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _begin(self, number: int) -> None:
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._room.release()

        def over(task: asyncio.Future[_T]) -> None:
            self._running.pop(task, None)
            if task.cancelled() or task.exception() is not None:
                self._broken = self._broken or task
            else:
                self._results[number] = task.result()
            leave()

        self.made += 1
        task = asyncio.ensure_future(self._make(number, leave))
        self._running[task] = None
        task.add_done_callback(over)
