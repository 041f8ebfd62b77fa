"""The memory that a model takes: ONNX Runtime opens it and answers once, in a process of its own.

Triton tells the memory of the whole server, never of one model, so both files are measured here, alike: what
the process's peak grows by while it opens the file and answers.  It counts weights and activations on a CPU.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from argosy.errors import StepError

if TYPE_CHECKING:
    from argosy.components.deployment.comparison.traffic import Inputs

log = logging.getLogger(__name__)

_SECONDS = 120.0
_STATUS = Path("/proc/self/status")


def footprint(model: Path, inputs: Inputs, folder: Path) -> int | None:
    """Bytes that opening `model` and answering `inputs` takes; None on systems without /proc.

    Args:
        model: model.onnx, its data files beside it.
        inputs: of one request.
        folder: for the request's file.

    Raises:
        StepError: the process failed, or took longer than two minutes.
    """
    if not _STATUS.exists():
        log.warning("memory is measured on Linux only")
        return None
    given = folder / "request.npz"
    np.savez(given, **dict(inputs))  # type: ignore[arg-type]
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(model), str(given)],
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StepError(f"ONNX Runtime took over {_SECONDS:.0f} s for {model.name}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StepError(f"ONNX Runtime fails on {model.name}: {last}")
    return int(done.stdout.split()[-1])


def _kib(field: str) -> int:
    """A field of this process's own memory; getrusage would begin with the parent's peak."""
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def main(model: str, given: str) -> None:
    """In the process of its own: print the bytes."""
    from argosy.components.deployment.verification.checks import Reference

    with np.load(given, allow_pickle=False) as stored:
        inputs = {name: stored[name] for name in stored.files}
    before = _kib("VmRSS")
    Reference(Path(model)).answer(inputs)
    print(max(0, _kib("VmHWM") - before) * 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
