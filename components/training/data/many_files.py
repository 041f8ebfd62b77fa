"""Work on very many files: a few in flight at once, told of now and then, results kept for the next run."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
# Enough that no thread waits for the one whose turn it is to be handed out.
_AHEAD = 8
SECONDS = 5.0  # between two lines
VARIABLE = "ARGOSY_CACHE_DIR"


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    ahead: int = _AHEAD,
    group: int = 1,
) -> Iterator[Result]:
    """The results of `function`, in the order of `items`; the first exception that it raises is raised here.

    Args:
        function: the work on one item.
        items: taken one after the other, as late as possible.
        threads: how many work.
        ahead: groups in flight for each thread; what has not begun when something fails is given up.
        group: items that a thread takes at a time: more where handing one over costs as much as its work.
    """

    def work(part: list[Item]) -> list[Result]:
        return [function(item) for item in part]

    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[list[Result]]] = deque()
        try:
            while part := list(islice(rest, group)):
                pending.append(pool.submit(work, part))
                if len(pending) >= threads * ahead:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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


def cache_folder(name: str) -> Path:
    """The folder `name` of the cache: below $ARGOSY_CACHE_DIR, or else the system's temporary folder.

    Everything in it can be made again. A volume that outlives the pod, named by the variable, spares the next
    run the download and the decoding.
    """
    root = os.environ.get(VARIABLE) or Path(tempfile.gettempdir()) / "argosy-cache"
    return Path(root) / name
