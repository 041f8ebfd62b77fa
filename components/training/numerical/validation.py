"""Gate 2 on an export run: measure, record, register what passed, and prove that it is the whole file."""

from __future__ import annotations

import itertools
import logging
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Literal, NamedTuple

import mlflow
import mlflow.onnx
import numpy as np
import onnx
import torch
from mlflow.entities import Metric, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.shared.registry import get_run
from argosy.components.shared.run_files import download, read_real_samples
from argosy.components.training.champion import all_versions, logged_model, register_model_of_run
from argosy.components.training.export import (
    FILE_SHA256,
    MODEL_FILE,
    Parent,
    check_onnx,
    load_pytorch,
    sha256,
)
from argosy.components.training.numerical.comparison import (
    Array,
    Difference,
    compare,
    example_of,
    onnx_predictor,
    open_session,
    pytorch_predictor,
    random_batches,
    real_batches,
    sample_shape,
    speedup,
)
from argosy.errors import StepError

log = logging.getLogger(__name__)

_DEPLOY = "deploy"
_RESULT, _REAL_INPUTS = "gate2.result", "gate2.real_inputs"
PASSED = {_RESULT: "passed"}  # the tag of a version that came to the end of its gate


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


def register_onnx(
    client: MlflowClient, name: str, run_id: str, path: Path, example: Array, tags: Mapping[str, object]
) -> ModelVersion:
    """The version of `name` that holds the ONNX file of run `run_id`: proven whole, with the alias `deploy`.

    A version that already went through here keeps its tags and is not given the alias again: another version
    may hold it by now. So does a version of the same bytes that came from another run.

    Args:
        client: from `registry.connect`.
        name: the registered ONNX model.
        run_id: the export run; the model is logged into it.
        path: the validated file.
        example: one input batch, for the signature and the proof.
        tags: written on the version; the file's checksum is among them.

    Raises:
        StepError: what MLflow gives back is not what was validated, or MLflow failed.
    """
    passed = _passed_before(client, name, str(tags[FILE_SHA256]))
    if passed is not None:
        log.info("version %s of %s holds this file already", passed.version, name)
        return passed
    expected = onnx_predictor(open_session(str(path), threads=1))(example)
    if logged_model(client, run_id) is None:
        _log_model(client, run_id, path, example, expected)
    version = register_model_of_run(client, name, run_id, tags)
    _prove(version, example, expected)
    registry.set_version_tags(client, name, version.version, tags)
    registry.set_alias(client, name, _DEPLOY, version.version)
    registry.set_version_tags(client, name, version.version, PASSED)
    return version


def record_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float], passed: bool, real_inputs: int
) -> None:
    """Write what a gate measured, and its answer, into the run in one request.

    Raises:
        StepError: MLflow failed.
    """
    now = int(time.time() * 1000)
    entries = [Metric(name, value, now, 0) for name, value in metrics.items()]
    result = {_RESULT: "passed" if passed else "failed", _REAL_INPUTS: str(real_inputs)}
    with registry.mlflow_errors(f"record the validation in run {run_id}"):
        client.log_batch(run_id, entries, tags=[RunTag(key, value) for key, value in result.items()])


def _passed_before(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The oldest version that holds the same bytes and came to the end of the gate."""
    same = {FILE_SHA256: digest, **PASSED}.items()
    found = [version for version in all_versions(client, name) if same <= version.tags.items()]
    return min(found, key=lambda version: int(version.version), default=None)


def _log_model(client: MlflowClient, run_id: str, path: Path, example: Array, expected: Array) -> None:
    requirements = [f"{package}=={installed(package)}" for package in ("onnx", "onnxruntime", "numpy")]
    experiment_id = registry.get_run(client, run_id).info.experiment_id
    with registry.mlflow_errors(f"store the ONNX model of run {run_id}"):
        mlflow.set_experiment(
            experiment_id=experiment_id
        )  # MLflow reopens runs of its current experiment only
        run = mlflow.start_run(run_id=run_id)
    with registry.mlflow_errors(f"store the ONNX model of run {run_id}"), run:
        mlflow.onnx.log_model(
            # Logging changes the object that it is given, so it gets one of its own. Its default moves the
            # weights to a second file, and a server that reads model.onnx alone would find none.
            onnx.load(path),
            name="model",
            save_as_external_data=False,
            signature=infer_signature(example, expected),
            pip_requirements=requirements,
        )


def _prove(version: ModelVersion, example: Array, expected: Array) -> None:
    """Download the registered file and compare its answer with that of the validated one.

    Raises:
        StepError: the file is missing, incomplete, or answers differently.
    """
    uri = f"models:/{version.name}/{version.version}/{MODEL_FILE}"
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        with registry.mlflow_errors(f"download {uri}"):
            path = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
        answer = onnx_predictor(open_session(Path(path).read_bytes(), threads=1))(example)
    if not np.array_equal(answer, expected):
        raise StepError(f"{uri} answers differently from the file that was validated; alias not set")
