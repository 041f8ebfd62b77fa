"""A real stack, brought up once for all tests that only use it, and a view of a folder's processes."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from argosy.stack import Stack


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the running processes whose command line names something in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words):
            found.append(process)
    return found


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is up. A test that stops a part of it brings it up again."""
    one = Stack(tmp_path_factory.mktemp("stack") / "state")
    one.up()
    yield one
    one.down()
    assert processes_of(one.state_dir) == []
