"""One workflow's deployment of one model, step by step, each step a process that can be killed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from argosy.declare.component import Component
from argosy.step.interface import ArtifactKind
from tests.faults.child import STEPS, run_step
from tests.forking import processes

ORDER = (
    "fetch_model",
    "determine_version",
    "prepare_artifacts",
    "upload_to_s3",
    "reload_triton",
    "update_aliases",
    "verify_deployment",
)
LONGEST_STEP = 180.0


@dataclass(frozen=True)
class Ran:
    """How a step's process ended.

    Attributes:
        code: its exit code; -9 where it was killed.
        seconds: wall time, without imports.
        log: what it wrote to standard error; its last line is what a user reads.
    """

    code: int
    seconds: float
    log: str

    @property
    def message(self) -> str:
        """The last line that is no log record's continuation."""
        return self.log.strip().splitlines()[-1] if self.log.strip() else ""


@dataclass
class Workflow:
    """A deployment of `values["model_name"]`; `values` holds every input by name, outputs join them."""

    folder: Path
    values: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, step: str, kill_after: float | None = None, file_limit: int = 0, **inputs: Any) -> Ran:
        """Run a step to its end, or kill it after so many seconds.

        `inputs` and `self.environment` hold for this call; outputs are kept for the steps that follow only
        when the step succeeded.
        """
        started = self.start(step, file_limit, **inputs)
        begun = time.monotonic()
        started.process.join(LONGEST_STEP if kill_after is None else kill_after)
        if started.process.is_alive():
            started.process.kill()
            started.process.join()
            assert kill_after is not None, f"{step} ran for {LONGEST_STEP} s: {started.log.read_text()}"
        ran = started.ended(time.monotonic() - begun)
        if ran.code == 0:
            self.values.update(started.outputs())
        return ran

    def run_all(self, first: str = ORDER[0], last: str = ORDER[-1]) -> None:
        """Run a range of the steps in order; each has to succeed."""
        for step in ORDER[ORDER.index(first) : ORDER.index(last) + 1]:
            ran = self.run(step)
            assert ran.code == 0, f"{step}: {ran.log}"

    def start(self, step: str, file_limit: int = 0, **inputs: Any) -> Started:
        """Start a step's process."""
        component: Component[Any, Any] = getattr(import_module(f"{STEPS}.{step}"), step)
        place = self.folder / f"{step}-{time.monotonic_ns()}"
        place.mkdir(parents=True)
        argv = _argv(component, {**self.values, **inputs}, place)
        log = place / "log"
        log.touch()
        # The server that forks has the environment of the test that first asked for it.
        environment = {**os.environ, **self.environment}
        arguments = (step, argv, environment, str(log), file_limit)
        process = processes.Process(target=run_step, args=arguments)
        process.start()
        return Started(component, process, place, log)


@dataclass
class Started:
    """A step's process, and where its outputs appear."""

    component: Component[Any, Any]
    process: ForkServerProcess
    place: Path
    log: Path

    def ended(self, seconds: float) -> Ran:
        """How it ended, after it did."""
        return Ran(self.process.exitcode or 0, seconds, self.log.read_text(errors="replace"))

    def outputs(self) -> dict[str, Any]:
        """Its outputs by name: a parameter's text, an artifact's path."""
        found: dict[str, Any] = {}
        for port in self.component.interface.outputs:
            path = self.place / port.name
            found[port.name] = path if isinstance(port.type, ArtifactKind) else path.read_text()
        return found


def _argv(component: Component[Any, Any], values: Mapping[str, Any], place: Path) -> list[str]:
    """The command line, from the values that the step declares as inputs."""
    inputs = component.interface.inputs
    given = [f"--{port.argo_name}={values[port.name]}" for port in inputs if port.name in values]
    outputs = component.interface.outputs
    return [*given, *(f"--output-{port.argo_name}={place / port.name}" for port in outputs)]
