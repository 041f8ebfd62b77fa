"""Jobs beside the training, in a thread that never keeps the process alive; the newest job counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

Job = Callable[[], None]


class Background:
    """Runs one job at a time. One job may wait, and gives way to a newer one.

    Jobs report their own errors. One that hangs is left behind when the process ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self._busy = False

    def submit(self, job: Job) -> None:
        """Run `job` as soon as the one under way has ended, unless a newer one is submitted before."""
        with self._changed:
            self._waiting = job
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._run, name="background", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way and nothing waits; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, seconds)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Job | None:
        """The job that waits; where none does, the thread's work is over."""
        with self._changed:
            job, self._waiting = self._waiting, None
            if job is None:
                self._busy = False
                self._changed.notify_all()
            return job
