"""How long the deployment pipeline takes on a stack that is up."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, seconds

ARGOSY = [str(Path(sys.executable).with_name("argosy"))]
REPEATS = 3


def _argosy(*args: str, state: str) -> Any:
    environment = {**os.environ, "ARGOSY_STATE_DIR": state}
    done = subprocess.run(
        [*ARGOSY, *args], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return json.loads(done.stdout) if done.stdout else None


def warm() -> Result:
    """Deploy the same ONNX model again and again; each run claims, publishes and serves a new version."""
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as state:
        try:
            _argosy(
                "run",
                "train-model-image-classification",
                "-p",
                "epochs=2",
                "-p",
                "min-accuracy=0",
                state=state,
            )
            times = [
                seconds(lambda: _argosy("run", "deploy-model-image-classification", state=state))
                for _ in range(REPEATS)
            ]
        finally:
            _argosy("down", state=state)
    return Result("deployment_warm_s", statistics.median(times), "s", limit=45.0)
