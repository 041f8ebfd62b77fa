"""A forked process of the tests finds loaded what its server was to load."""

import sys
from multiprocessing.connection import Connection

from tests.forking import PRELOAD, processes


def _tell(end: Connection) -> None:
    end.send(PRELOAD in sys.modules)


def test_what_was_to_be_loaded_is_loaded() -> None:
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_tell, args=(there,))
    process.start()
    assert here.recv()
    process.join()
