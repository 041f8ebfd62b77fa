"""What every test shares: the embedded stack, started once for all that only use it."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from argosy.stack import Stack
from argosy.stack.serving import OPTIONS
from tests.kills import KILLS, SEED
from tests.workers import ByFile, in_order

# One thread each: several servers and steps share few cores, and a spinning thread starves the others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def pytest_report_header() -> str:
    """How to have the same kills again."""
    return f"kills: {KILLS} of each step, ARGOSY_TEST_SEED={SEED}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Order them, after any plugin has shuffled them."""
    written = {item.nodeid: number for number, item in enumerate(items)}
    yield
    in_order(items, written)


def pytest_collection_finish() -> None:
    """Warnings are logged, also where a folder whose conftest imports `mlflow.pytorch` is run by itself.

    That module turns the root logger down to errors, unless somebody has set logging up before.
    """
    logging.getLogger().setLevel(logging.WARNING)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Files stay whole, whatever --dist says."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    """MLflow, S3 and Triton, up for the whole session (of one worker); tests use names of their own.

    A test that stops a part of it brings it up again. The state lies in memory where that is possible: MLflow
    waits for the disk at every write. Triton takes the configurations as they are, since ours are complete:
    completing one costs it a second and a half a load. `tests/stack/` and `tests/e2e/` have stacks as users
    have them.
    """
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="argosy-test-") as folder:
        one = Stack(Path(folder) / "state")
        with quick_loads():
            one.up()
        yield one
        one.down()


@contextmanager
def quick_loads() -> Iterator[None]:
    """While inside: what brings the shared stack up has the settings that it was started with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OPTIONS, "--disable-auto-complete-config")
        yield


@contextmanager
def pointed_at(stack: Stack) -> Iterator[None]:
    """While inside: this process's environment is that of the stack's steps."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        yield
