"""Jobs beside the training: one at a time, the newest next, nobody waits for ever."""

import threading

from argosy.components.training.checkpoints.checkpoints import Background

LONG = 30.0


def test_a_job_that_waits_gives_way_to_a_newer_one() -> None:
    background, done, begun, release = Background(), [], threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        release.wait(LONG)
        done.append(1)

    background.submit(first)
    assert begun.wait(LONG)
    for number in (2, 3, 4):
        background.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    release.set()
    assert background.wait(LONG)
    assert done == [1, 4]


def test_waiting_ends_in_time() -> None:
    background, release = Background(), threading.Event()
    assert background.wait(0)
    background.submit(lambda: release.wait(LONG) and None)
    assert not background.wait(0.05)
    release.set()
    assert background.wait(LONG)


def test_it_works_again_after_a_rest() -> None:
    background, done = Background(), []
    for number in range(200):
        background.submit(lambda number=number: done.append(number))  # type: ignore[misc]
        assert background.wait(LONG)
    assert done == list(range(200))
