"""How far a long transfer is, told in the log."""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger(__name__)

MB = 1_000_000
# Smaller transfers are over before anybody would look.
SMALLEST = 64 << 20
_STEP = 0.10
_SECONDS = 10.0


class Progress:
    """Counts bytes from any thread; logs a line each 10 % or 10 s, for transfers of 64 MiB and more."""

    def __init__(self, what: str, total: int) -> None:
        """Begin to count; `what` begins the lines, `total` is in bytes."""
        self._what, self._total = what, total
        self._lock = threading.Lock()
        self._done = 0
        self._begun = self._told_at = time.monotonic()
        self._told_share = 0.0

    def __call__(self, more: int) -> None:
        """Add bytes; a negative number takes back what has to be sent again."""
        with self._lock:
            self._done += more
            if self._total >= SMALLEST and self._due():
                self._tell()

    def _due(self) -> bool:
        step = self._done / self._total - self._told_share
        late = time.monotonic() - self._told_at >= _SECONDS
        return step >= _STEP or late or self._done == self._total

    def _tell(self) -> None:
        self._told_at, self._told_share = time.monotonic(), self._done / self._total
        speed = self._done / MB / max(self._told_at - self._begun, 1e-3)
        log.info(
            "%s: %.0f %%, %.0f of %.0f MB, %.1f MB/s",
            *(self._what, 100 * self._told_share, self._done / MB, self._total / MB, speed),
        )
