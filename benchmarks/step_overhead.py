"""What one step costs beyond its own work, on one machine: our local runner against KFP's."""

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.against_kfp import kfp_python
from benchmarks.deployment import ARGOSY
from benchmarks.harness import Result, compare, seconds

HERE = Path(__file__).parent
OURS, THEIRS = HERE / "chain_of_steps.py", HERE / "kfp_chain_of_steps.py"
SHORT, LONG = 1, 9


def step_overhead() -> Result:
    """Seconds a step: a chain of nine against a chain of one, so that neither side's start counts.

    Both run each step in a process of its own that reads its input and writes its output: KFP in a new
    Python, without an environment of its own for each step, which is its faster way; ours as `argosy run`
    does it, forked from a process that has the SDK imported.
    """
    python = str(kfp_python())
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        ours = [ARGOSY, "run", f"{OURS}:chain", "--output", "json"]
        return compare(
            "step_overhead_vs_kfp",
            lambda: _a_step(ours, folder),
            lambda: _a_step([python, str(THEIRS), folder], folder),
            0.2,
            "a step",
        )


def _a_step(command: list[str], folder: str) -> float:
    long, short = (_chain(command, folder, steps) for steps in (LONG, SHORT))
    return (long - short) / (LONG - SHORT)


def _chain(command: list[str], folder: str, steps: int) -> float:
    environment = {**os.environ, "CHAIN_STEPS": str(steps), "ARGOSY_STATE_DIR": f"{folder}/state"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return seconds(lambda: subprocess.run(command, env=environment, cwd=folder, check=True, **quiet))
