"""Export runs: an MLflow run that holds one ONNX file and says where it came from."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared.registry import get_run, mlflow_errors
from argosy.components.training.lineage import LABELS_FILE, MODEL_FILE, PREPROCESSING_FILE, Parent
from argosy.components.training.models import load_pytorch, read_json
from argosy.components.training.onnx_export import export_onnx
from argosy.components.training.shape import InputShape
from argosy.errors import UsageError

log = logging.getLogger(__name__)


def export_version(client: MlflowClient, version: ModelVersion, shape: InputShape) -> str:
    """Export a registered version into a new run of the experiment of its training run; return the run's id.

    Raises:
        UsageError: `shape` is not the one that the model was trained with.
        StepError: the version or its run is gone, the model cannot be exported, or MLflow failed.
    """
    parent = Parent.of_version(version)
    training = get_run(client, parent.run_id)
    _check_size(training.data.params.get("image_size"), shape, parent)
    stored = load_pytorch(parent.model_name, parent.version)
    _check_sample(stored.sample, shape, parent)
    name = f"export-{parent.model_name}-v{parent.version}"
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch, mlflow_errors(f"record the run {name}"):
        metadata = _metadata(client, parent.run_id, Path(scratch))
        path = Path(scratch) / MODEL_FILE
        tags = {"step": "export-onnx", **parent.tags()}
        with mlflow.start_run(experiment_id=training.info.experiment_id, run_name=name, tags=tags) as run:
            mlflow.log_params({"input_shape": str(shape), **parent.tags()})
            properties = {file.removesuffix(".json"): content for file, content in metadata.items()}
            export_onnx(stored.module, shape.sample, path, properties)
            for file, content in metadata.items():
                mlflow.log_dict(content, file)  # type: ignore[arg-type]
            mlflow.log_artifact(str(path))
    log.info("run %s (%s) holds %s", run.info.run_id, name, MODEL_FILE)
    return str(run.info.run_id)


def _metadata(client: MlflowClient, run_id: str, folder: Path) -> dict[str, object]:
    """Class names and preparation of images, by file name, as far as the training run tells them."""
    found = {name: read_json(client, run_id, name, folder) for name in (LABELS_FILE, PREPROCESSING_FILE)}
    return {name: content for name, content in found.items() if content is not None}


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
