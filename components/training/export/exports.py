"""Export runs: an MLflow run that holds one ONNX file and says where it came from."""

from __future__ import annotations

import logging
import tempfile
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared.registry import get_run, mlflow_errors
from argosy.components.shared.shape import InputShape
from argosy.components.training.champion.candidates import fingerprint
from argosy.components.training.export.lineage import (
    FILE_SHA256,
    LABELS_FILE,
    MODEL_FILE,
    PREPROCESSING_FILE,
    Parent,
    complete_run,
)
from argosy.components.training.export.models import load_pytorch, read_json, sha256
from argosy.components.training.export.onnx_export import OPSET, export_onnx
from argosy.errors import UsageError

log = logging.getLogger(__name__)

STEP = "export-onnx"


def export_version(client: MlflowClient, version: ModelVersion, shape: InputShape) -> str:
    """Export a registered version into a run of the experiment of its training run; return the run's id.

    An export of the same version by the same exporter that is there already is returned as it is. One that
    was cut off is left alone: its run lacks the checksum, which is written last.

    Raises:
        UsageError: `shape` is not the one that the model was trained with.
        StepError: the version or its run is gone, the model cannot be exported, or MLflow failed.
    """
    parent = Parent.of_version(version)
    training = get_run(client, parent.run_id)
    _check_size(training.data.params.get("image_size"), shape, parent)
    sample = ",".join(map(str, shape.sample))
    tags = {"step": STEP, "export.sample": sample, "export.exporter": _exporter(), **parent.tags()}
    earlier = complete_run(client, training.info.experiment_id, tags)
    if earlier is not None:
        log.info("run %s holds this export already", earlier.info.run_id)
        return str(earlier.info.run_id)
    stored = load_pytorch(parent.model_name, parent.version)
    _check_sample(stored.sample, shape, parent)
    name = f"export-{parent.model_name}-v{parent.version}"
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch, mlflow_errors(f"record the run {name}"):
        files = _files(client, parent.run_id, Path(scratch))
        path = Path(scratch) / MODEL_FILE
        export_onnx(stored.module, shape.sample, path, _properties(parent, training, files))
        with mlflow.start_run(experiment_id=training.info.experiment_id, run_name=name, tags=tags) as run:
            mlflow.log_params({"input_shape": str(shape), **parent.tags()})
            for file, content in files.items():
                mlflow.log_dict(content, file)  # type: ignore[arg-type]
            mlflow.log_artifact(str(path))
            mlflow.set_tag(FILE_SHA256, sha256(path))
    log.info("run %s (%s) holds %s", run.info.run_id, name, MODEL_FILE)
    return str(run.info.run_id)


def _exporter() -> str:
    """The versions that determine the file beside the model: PyTorch, its exporter, the operator set."""
    parts = [f"{package} {installed(package)}" for package in ("torch", "onnxscript")]
    return ", ".join([*parts, f"opset {OPSET}"])


def _files(client: MlflowClient, run_id: str, folder: Path) -> dict[str, object]:
    """Class names and preparation of the inputs, by file name, as far as the training run tells them."""
    found = {name: read_json(client, run_id, name, folder) for name in (LABELS_FILE, PREPROCESSING_FILE)}
    return {name: content for name, content in found.items() if content is not None}


def _properties(parent: Parent, training: Run, files: dict[str, object]) -> dict[str, object]:
    """The ONNX file's own description, which goes wherever the file goes."""
    properties: dict[str, object] = {file.removesuffix(".json"): content for file, content in files.items()}
    properties |= {
        "model_name": parent.model_name,
        "model_version": parent.version,
        "run_id": parent.run_id,
        "dataset_fingerprint": fingerprint(training),
    }
    return {name: value for name, value in properties.items() if value != ""}


def _check_size(trained: str | None, shape: InputShape, parent: Parent) -> None:
    """Compare with the image size that the training run noted, if it did."""
    asked = "x".join(map(str, shape.sample[-2:]))
    if trained is not None and trained != asked:
        raise UsageError(
            f"version {parent.version} of {parent.model_name!r} was trained at {trained} pixels, "
            f"and input_shape asks for {asked}"
        )


def _check_sample(stored: tuple[int, ...] | None, shape: InputShape, parent: Parent) -> None:
    """Compare with the model's signature: a stored program accepts samples of its own shape and no other."""
    if stored is not None and stored != shape.sample:
        raise UsageError(
            f"version {parent.version} of {parent.model_name!r} takes samples of shape "
            f"{','.join(map(str, stored))}, and input_shape asks for {','.join(map(str, shape.sample))}"
        )
