"""Gate 2 on an export run: measure, record, and register what passed."""

from __future__ import annotations

import itertools
import logging
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from argosy.components.shared.registry import get_run
from argosy.components.training.export.lineage import FILE_SHA256, MODEL_FILE, Parent
from argosy.components.training.export.models import download, load_pytorch, sha256
from argosy.components.training.export.onnx_check import check_onnx
from argosy.components.training.numerical.comparison import Difference, compare, speedup
from argosy.components.training.numerical.onnx_registry import record_metrics, register_onnx
from argosy.components.training.numerical.predictors import (
    Array,
    onnx_predictor,
    open_session,
    pytorch_predictor,
    sample_shape,
)
from argosy.components.training.numerical.samples import (
    example_of,
    random_batches,
    read_real_samples,
    real_batches,
)
from argosy.errors import StepError

log = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """The step's result, field by field; a difference that is not finite is None."""

    result: Literal["passed", "failed"]
    onnx_model_version: str
    max_diff: float | None
    mean_diff: float | None
    onnx_speedup: float
    median_diff: float | None
    argmax_agreement: float
    real_inputs: int


@dataclass(frozen=True)
class Measured:
    """The numbers of one file.

    Attributes:
        example: two samples, for the signature of what is registered.
    """

    difference: Difference
    speedup: float
    real_inputs: int
    example: Array

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference.max:.3g} over {self.difference.samples} inputs "
            f"({self.real_inputs} real), ONNX Runtime {self.speedup:.2f} times faster"
        )

    def metrics(self) -> dict[str, float]:
        """The measurements under the names that deployments read."""
        return {
            "validation_max_diff": self.difference.max,
            "validation_mean_diff": self.difference.mean,
            "validation_median_diff": self.difference.median,
            "validation_argmax_agreement": self.difference.agreement,
            "validation_onnx_speedup": self.speedup,
        }

    def verdict(self, version: str) -> Verdict:
        """The step's result; no version means that the gate failed."""
        largest, mean, median = (
            value if math.isfinite(value) else None
            for value in (self.difference.max, self.difference.mean, self.difference.median)
        )
        return Verdict(
            "passed" if version else "failed",
            version,
            largest,
            mean,
            self.speedup,
            median,
            self.difference.agreement,
            self.real_inputs,
        )


def validate(
    client: MlflowClient, export_run_id: str, model_name: str, samples: int, tolerance: float, seed: int
) -> Verdict:
    """Run Gate 2 on the ONNX file of an export run; register the file if it passes.

    Raises:
        StepError: the run is no export of `model_name`, its file is damaged or no valid ONNX, a model
            cannot be loaded, or MLflow failed.
    """
    run = get_run(client, export_run_id)
    parent = Parent.of_export(run)
    if parent.model_name != model_name:
        raise StepError(f"run {export_run_id} exports {parent.model_name!r}, not {model_name!r}")
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch:
        folder = Path(scratch)
        path = download(export_run_id, MODEL_FILE, folder)
        digest = _checked(path, run)
        measured = _measure(client, path, parent, samples, seed, folder)
        passed = measured.difference.within(tolerance)
        record_metrics(client, export_run_id, measured.metrics(), passed, measured.real_inputs)
        log.info("Gate 2 %s: %s, tolerance %.3g", "passed" if passed else "failed", measured, tolerance)
        if not passed:
            return measured.verdict("")
        tags = {**parent.tags(), "export.run_id": export_run_id, FILE_SHA256: digest, **measured.metrics()}
        version = register_onnx(client, f"{model_name}-onnx", export_run_id, path, measured.example, tags)
    return measured.verdict(str(version.version))


def _checked(path: Path, run: Run) -> str:
    """The file's checksum, once it is the one that was exported, and valid ONNX."""
    digest = sha256(path)
    expected = run.data.tags.get(FILE_SHA256, digest)
    if digest != expected:
        raise StepError(
            f"{MODEL_FILE} of run {run.info.run_id} has sha256 {digest}, and {expected} was exported"
        )
    check_onnx(path)
    return digest


def _measure(
    client: MlflowClient, path: Path, parent: Parent, samples: int, seed: int, folder: Path
) -> Measured:
    """Difference and speedup of file and parent, on the CPU with equal threads."""
    session = open_session(str(path), threads=torch.get_num_threads())
    sample = sample_shape(session)
    real = read_real_samples(client, parent.run_id, sample, folder)
    baseline = pytorch_predictor(load_pytorch(parent.model_name, parent.version).module)
    candidate = onnx_predictor(session)
    batches = itertools.chain(
        random_batches(samples, sample, seed), real_batches(real.inputs) if real else ()
    )
    difference = compare(baseline, candidate, batches)
    example = example_of(sample, seed)
    gain = speedup(baseline, candidate, example[:1])
    return Measured(difference, gain, len(real) if real else 0, example)
