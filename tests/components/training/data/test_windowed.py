"""Many items through few threads."""

import threading
import time
from collections.abc import Iterator

import pytest

from argosy.components.training.data.many_files import in_order


def test_results_come_in_order_whichever_is_done_first() -> None:
    def slow_when_even(number: int) -> int:
        time.sleep(0.002 * (number % 2 == 0))
        return number * number

    assert list(in_order(slow_when_even, range(50), 4)) == [number * number for number in range(50)]


@pytest.mark.parametrize("group", [1, 8])
@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_every_item_is_met_once(count: int, group: int) -> None:
    assert list(in_order(str, range(count), 2, group=group)) == [str(number) for number in range(count)]


def test_items_are_taken_only_as_fast_as_results_are() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken = number + 1
            yield number

    results = in_order(str, items(), 2, ahead=4)
    for _ in range(5):
        next(results)
    assert taken <= 5 + 2 * 4
    results.close()  # type: ignore[attr-defined]


def test_an_error_ends_it_and_the_rest_is_given_up() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError):
        list(in_order(work, range(10_000), 2))
    assert len(begun) < 100
    assert threading.active_count() < 10
