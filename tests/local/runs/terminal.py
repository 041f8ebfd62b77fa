"""`argosy` on a terminal of its own, as a person sits at it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

ARGOSY = str(Path(sys.executable).with_name("argosy"))
PATIENCE = 120  # seconds; only a test that fails waits so long
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program that has a terminal for its own, and what it shows there."""

    def __init__(self, process: int, descriptor: int) -> None:
        self.process, self._descriptor = process, descriptor
        self.raw = ""
        self._code: int | None = None

    @property
    def shown(self) -> str:
        """All that was written, without codes for colours and the cursor."""
        return _CODES.sub("", self.raw).replace("\r", "")

    def until(self, text: str) -> None:
        """Read until a text was shown."""
        while text not in self.shown:
            self.more(text)

    def more(self, wanted: str = "more") -> None:
        """Read what is shown next."""
        assert self._read(), f"{wanted!r} was not shown: {self.shown[-2000:]}"

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    def is_echoing(self) -> bool:
        """Whether the terminal shows what is typed, as a shell wants it."""
        return bool(termios.tcgetattr(self._descriptor)[3] & termios.ECHO)

    def code(self) -> int:
        """The exit code, once the program has ended."""
        if self._code is None:
            while self._read():
                pass
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        return self._code

    def close(self) -> None:
        """Take the terminal away."""
        os.close(self._descriptor)

    def _read(self) -> bool:
        if not select([self._descriptor], [], [], PATIENCE)[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # nobody has its other side any more
            return False
        self.raw += data.decode("utf-8", errors="replace")
        return bool(data)


@contextmanager
def terminal(folder: Path, *words: str, rows: int = 24, columns: int = 100) -> Iterator[Terminal]:
    """While inside: `argosy WORDS` on a terminal of that size."""
    process, descriptor = pty.fork()
    if process == 0:
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execve(ARGOSY, [ARGOSY, *words], {**os.environ, "TERM": "xterm"})
    found = Terminal(process, descriptor)
    try:
        yield found
    finally:
        found.close()
