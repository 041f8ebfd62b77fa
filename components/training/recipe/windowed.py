"""Run a function over many items in threads, with few of them in flight: a million items need no memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Enough that no thread waits for the one whose turn it is to be handed out.
_AHEAD = 8


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int = _AHEAD
) -> Iterator[Result]:
    """The results of `function`, in the order of `items`; at most `threads * ahead` are held at a time.

    The first exception that `function` raises is raised here; what has not begun by then is given up.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= threads * ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
