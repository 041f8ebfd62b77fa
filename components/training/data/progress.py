"""Tells how far a long piece of work is, at most every few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

SECONDS = 5.0  # between two lines


class Progress:
    """Counts files and bytes; `what` was done with them, as "downloaded". A run shows the lines as a bar."""

    def __init__(
        self, what: str, files: int, size: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._files, self._size, self._clock = what, files, size, clock
        self._begin = self._told = clock()
        self._done_files = self._done_bytes = self._moved = 0

    def add(self, size: int, moved: int) -> None:
        """One more file of `size` bytes is there, `moved` of which had to be brought."""
        self._done_files += 1
        self._done_bytes += size
        self._moved += moved
        now = self._clock()
        if now - self._told >= SECONDS or self._done_files == self._files:
            self._told = now
            log.info("%s", self._line(now - self._begin))

    def _line(self, seconds: float) -> str:
        speed = self._moved / 1e6 / seconds if seconds > 0 else 0.0
        return (
            f"progress: {self._done_files}/{self._files} files {self._what}, "
            f"{self._done_bytes / 1e6:.1f} of {self._size / 1e6:.1f} MB, {speed:.1f} MB/s"
        )
