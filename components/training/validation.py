"""Gate 2 on an export run: measure, record, and register what passed."""

from __future__ import annotations

import logging
import math
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from mlflow.tracking import MlflowClient

from argosy.components.shared.registry import get_run, mlflow_errors
from argosy.components.training.comparison import (
    Difference,
    compare,
    input_shape,
    onnx_predictor,
    open_session,
    pytorch_predictor,
    random_inputs,
    speedup,
)
from argosy.components.training.lineage import MODEL_FILE, Parent
from argosy.components.training.models import download, load_pytorch
from argosy.components.training.onnx_registry import register_onnx
from argosy.errors import StepError

log = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """The step's result, field by field; a difference that is not finite is None."""

    result: Literal["passed", "failed"]
    onnx_model_version: str
    max_diff: float | None
    mean_diff: float | None
    onnx_speedup: float


class Measured(NamedTuple):
    """What was measured on one file."""

    difference: Difference
    speedup: float

    def __str__(self) -> str:
        return f"largest difference {self.difference.max:.3g}, ONNX Runtime {self.speedup:.2f} times faster"

    def metrics(self) -> dict[str, float]:
        """The measurements under the names that deployments read."""
        return {
            "validation_max_diff": self.difference.max,
            "validation_mean_diff": self.difference.mean,
            "validation_onnx_speedup": self.speedup,
        }


def validate(
    client: MlflowClient, export_run_id: str, model_name: str, samples: int, tolerance: float, seed: int
) -> Verdict:
    """Run Gate 2 on the ONNX file of an export run; register the file if it passes.

    Raises:
        StepError: the run is no export of `model_name`, a model cannot be loaded, or MLflow failed.
    """
    parent = Parent.of_export(get_run(client, export_run_id))
    if parent.model_name != model_name:
        raise StepError(f"run {export_run_id} exports {parent.model_name!r}, not {model_name!r}")
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        path = download(export_run_id, MODEL_FILE, Path(folder))
        measured, shape = _measure(path, parent, samples, seed)
        passed = measured.difference.within(tolerance)
        _record(client, export_run_id, measured, passed)
        if not passed:
            log.info("Gate 2 failed: %s, tolerance %.3g, %d inputs", measured, tolerance, samples)
            return _verdict("", measured)
        log.info("Gate 2 passed: %s, tolerance %.3g, %d inputs", measured, tolerance, samples)
        tags = {**parent.tags(), "export.run_id": export_run_id, **measured.metrics()}
        example = next(random_inputs(2, shape, seed))
        version = register_onnx(client, f"{model_name}-onnx", export_run_id, path, example, tags)
    return _verdict(str(version.version), measured)


def _verdict(version: str, measured: Measured) -> Verdict:
    largest, mean = (
        value if math.isfinite(value) else None
        for value in (measured.difference.max, measured.difference.mean)
    )
    return Verdict("passed" if version else "failed", version, largest, mean, measured.speedup)


def _measure(path: Path, parent: Parent, samples: int, seed: int) -> tuple[Measured, tuple[int, ...]]:
    """Difference and speedup of file and parent, on the CPU with equal threads; and the input's shape."""
    session = open_session(str(path), threads=torch.get_num_threads())
    shape = input_shape(session)
    baseline = pytorch_predictor(load_pytorch(parent.model_name, parent.version).module)
    candidate = onnx_predictor(session)
    difference = compare(baseline, candidate, random_inputs(samples, shape, seed))
    one = next(random_inputs(1, shape, seed))
    return Measured(difference, speedup(baseline, candidate, one)), shape


def _record(client: MlflowClient, run_id: str, measured: Measured, passed: bool) -> None:
    with mlflow_errors(f"record the validation in run {run_id}"):
        for name, value in measured.metrics().items():
            client.log_metric(run_id, name, value)
        client.set_tag(run_id, "gate2.result", "passed" if passed else "failed")
