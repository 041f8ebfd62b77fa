"""What a step's process runs: forked from a server that has the heavy libraries loaded already.

A step that is killed during its imports has touched nothing; with the imports done beforehand the kills of
the tests hit the step's own work.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STEPS = "argosy.components.deployment"


def run_step(step: str, argv: Sequence[str], environment: Mapping[str, str], log: str, limit: int) -> None:
    """Run a step's command line in this process; `limit` bytes are the largest file it may write, 0: any."""
    from argosy.step.program import run_step

    os.environ.update(environment)
    sys.stderr = Path(log).open("a", encoding="utf-8")  # noqa: SIM115 - the process ends with it
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails with EFBIG instead of a signal
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    module = importlib.import_module(f"{STEPS}.{step}")
    code = run_step(getattr(module, step), argv)
    sys.stderr.flush()
    os._exit(code)
