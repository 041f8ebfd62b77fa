"""Register a validated ONNX file, and prove that what was registered is the whole file."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
import mlflow.onnx
import numpy as np
import onnx
from mlflow.entities import Metric, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion.registration import all_versions, logged_model, register_model_of_run
from argosy.components.training.export.lineage import FILE_SHA256, MODEL_FILE
from argosy.components.training.numerical.predictors import Array, onnx_predictor, open_session
from argosy.errors import StepError

log = logging.getLogger(__name__)

DEPLOY = "deploy"
_RESULT, _REAL_INPUTS = "gate2.result", "gate2.real_inputs"
PASSED = {_RESULT: "passed"}  # the tag of a version that came to the end of its gate


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
    registry.set_alias(client, name, DEPLOY, version.version)
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
