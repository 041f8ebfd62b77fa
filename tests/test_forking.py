"""Forked processes of the tests: what they find loaded, and what threads that start them are told."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

from tests.forking import PRELOAD, processes

THREADS = 4


def _tell(end: Connection) -> None:
    end.send(PRELOAD in sys.modules)


def test_what_was_to_be_loaded_is_loaded() -> None:
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_tell, args=(there,))
    process.start()
    assert here.recv()
    process.join()


def _codes(code: int) -> set[int | None]:
    """The exit codes of processes that each end with `code`."""
    found = set()
    for _ in range(15):
        process = processes.Process(target=os._exit, args=(code,))
        process.start()
        process.join()
        found.add(process.exitcode)
    return found


def test_threads_that_start_processes_are_told_the_exit_code_of_each() -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(_codes, range(THREADS))) == [{code} for code in range(THREADS)]
