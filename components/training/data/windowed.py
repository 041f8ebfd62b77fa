"""Run a function over many items in threads, with few of them in flight: a million items need no memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Enough that no thread waits for the one whose turn it is to be handed out.
_AHEAD = 8


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
