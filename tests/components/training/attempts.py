"""Attempts at one training, each a process of its own that can be killed.

Each is forked from a server that has the heavy libraries loaded: one that is killed during its imports has
touched nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.forking import processes

LONGEST = 180.0


def attempt(argv: Sequence[str], environment: Mapping[str, str], log: str, dies_at_the_end: bool) -> None:
    """The process: the train step with a small network.

    `dies_at_the_end`: killed when the model is stored and the end of the training is not yet noted.
    """
    from argosy.components.training import fitting
    from argosy.components.training.checkpoints.checkpoints import Checkpoints
    from argosy.components.training.train import train
    from argosy.step.program import run_step
    from tests.components.training.small import small_network

    os.environ.update(environment)
    sys.stderr = Path(log).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - the process ends with it
    logging.getLogger().handlers.clear()  # the server's own
    fitting.starting_model = small_network  # type: ignore[attr-defined]
    if dies_at_the_end:
        Checkpoints.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    code = run_step(train, argv)
    sys.stderr.flush()
    os._exit(code)


@dataclass
class Attempt:
    """A process that trains."""

    process: ForkServerProcess
    log: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def text(self) -> str:
        """What it wrote to standard error so far."""
        return self.log.read_text(errors="replace")

    @property
    def message(self) -> str:
        """The last line: what a user reads."""
        return self.text.strip().splitlines()[-1]

    def until(self, words: str) -> Attempt:
        """Wait until it has written these words."""
        while words not in self.text:
            assert self.process.is_alive(), self.text
            assert time.monotonic() - self.started < LONGEST, self.text
            time.sleep(0.01)
        return self

    def signal(self, number: int) -> int:
        """Send it a signal; its exit code."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        return self.end()

    def end(self, after: float | None = None) -> int:
        """Its exit code, when it ends or is killed after so many seconds."""
        self.process.join(LONGEST if after is None else after)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            assert after is not None, self.text
        return int(self.process.exitcode or 0)


@dataclass
class Training:
    """A training by one owner; `values` holds the step's inputs by their names on the command line."""

    folder: Path
    values: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    attempts: int = 0

    def start(self, *, dies_at_the_end: bool = False, **changes: str) -> Attempt:
        """Start an attempt."""
        self.attempts += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"log-{self.attempts}"
        log.touch()
        values = {**self.values, **{name.replace("_", "-"): value for name, value in changes.items()}}
        argv = [f"--{name}={value}" for name, value in values.items()]
        outputs = [f"--output-{name}={self.folder / name}" for name in ("run-id", "best-val-accuracy")]
        # The server that forks has the environment of the test that first asked for it.
        environment = {**os.environ, **self.environment}
        arguments = ([*argv, *outputs], environment, str(log), dies_at_the_end)
        process = processes.Process(target=attempt, args=arguments)
        process.start()
        return Attempt(process, log)

    def finish(self) -> tuple[str, float]:
        """Run an attempt to its end; the step's outputs."""
        last = self.start()
        assert last.end() == 0, last.text
        return (self.folder / "run-id").read_text(), float((self.folder / "best-val-accuracy").read_text())
