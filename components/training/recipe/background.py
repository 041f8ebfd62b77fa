"""One job at a time beside the training, in a thread that never keeps the process alive."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Runs jobs that report their own errors; a job that hangs is left behind when the process ends."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, job: Callable[[], None]) -> None:
        """Begin a job; the one before must have ended."""
        self._thread = threading.Thread(target=job, name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the job under way, if there is one; whether it ended in time."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))
        return not self.busy
