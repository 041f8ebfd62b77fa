"""SIGTERM and SIGINT: a training that is told to go ends between two steps, with a word about where.

Kubernetes sends SIGTERM and kills 30 seconds later; a terminal sends SIGINT. Outside of the training loop a
signal ends the step at once. Within it (`held`) the signal is noted, and the loop asks for it after each step
(`check`), when everything that a checkpoint holds belongs together.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from argosy.errors import ArgosyError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(ArgosyError):
    """A signal asked this process to end; its exit code is a shell's, 128 plus the signal's number."""

    def __init__(self, number: int, story: str = "before training began; the same command starts it") -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name} {story}")
        self.number = number
        self.exit_code = 128 + number


class Interruption:
    """Whether a signal came. One that is never installed as a handler never comes."""

    def __init__(self) -> None:
        self._number = 0
        self._held = False

    def check(self) -> None:
        """Raises Interrupted if a signal came, also one whose Interrupted somebody has swallowed."""
        if self._number:
            raise Interrupted(self._number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the block a signal is noted for `check`; what was not asked for is raised at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.check()

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler. A second SIGINT, from somebody impatient, ends the process without more ado."""
        again, self._number = self._number != 0, number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._held and not again:
            raise Interrupted(number, "outside of the training loop; the same command goes on")


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Takes over SIGTERM and SIGINT for the length of the block, in the main thread; elsewhere they stay."""
    noted = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, noted.handle) for number in SIGNALS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
