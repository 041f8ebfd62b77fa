"""Processes forked from a server that has loaded what steps load, so that they start with their work.

There is one such server in a session, so all tests share it, and what it loads. It passes over a module that
it cannot import without a word; `tests/test_forking.py` looks that it did import this one.
"""

from __future__ import annotations

from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from threading import RLock

PRELOAD = "tests.preload"
# The standard library's processes are not made for threads: each start also asks every other process for its
# exit code, which can be read once. A thread that waits for that process finds nothing left, and takes 255.
_ASKING = RLock()


class _Process(ForkServerProcess):
    """A forked process that one thread may start while another waits for its own."""

    def start(self) -> None:
        with _ASKING:
            super().start()

    def join(self, timeout: float | None = None) -> None:
        wait([self.sentinel], timeout)
        with _ASKING:
            super().join(0)

    def is_alive(self) -> bool:
        with _ASKING:
            return super().is_alive()

    @property
    def exitcode(self) -> int | None:
        with _ASKING:
            return super().exitcode


class _Context(ForkServerContext):
    Process = _Process  # type: ignore[assignment] # the stub names the exact class


processes = _Context()
processes.set_forkserver_preload([PRELOAD])
