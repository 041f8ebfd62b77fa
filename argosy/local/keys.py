"""Single keys of the terminal, while a tree is on it."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import select

DETACH = b"q"


class Keys:
    """The terminal in a mode in which a key needs no Enter; Ctrl-C and Ctrl-Z stay what they are."""

    def __init__(self) -> None:
        self.descriptor = sys.stdin.fileno()
        self._saved: list[object] | None = None
        self._asking = False
        self.gone = False

    def start(self) -> None:
        """Take keys from now on; `gone` is set if the terminal was closed."""
        try:
            saved = termios.tcgetattr(self.descriptor)
            tty.setcbreak(self.descriptor, termios.TCSADRAIN)
        except termios.error:
            self.gone = True
        else:
            self._saved = saved

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._saved is not None:
            with suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            self._saved = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While inside: lines are typed and seen, for a question; no key is taken."""
        self._asking = True
        self.stop()
        try:
            yield
        finally:
            self.start()
            self._asking = False

    def pressed(self, seconds: float = 0) -> bytes:
        """The keys that were pressed; waits for one at most that long. `gone` is set once none can come."""
        if self._asking or self._saved is None or not select([self.descriptor], [], [], seconds)[0]:
            return b""
        try:
            keys = os.read(self.descriptor, 64)
        except OSError:  # of a terminal that was closed
            keys = b""
        self.gone = not keys
        return keys


def has_keys() -> bool:
    """Whether a person sits at the terminal, and this process is what the keys are for."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return False
