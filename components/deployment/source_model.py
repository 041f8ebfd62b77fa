"""The registered ONNX model: its file, and what MLflow knows of it."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import mlflow.artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.deployment.layout import MODEL_FILE
from argosy.components.deployment.metadata import (
    VALIDATION_METRICS,
    Metadata,
    MlflowOrigin,
    ModelFacts,
    ValidationFacts,
)
from argosy.components.deployment.onnx_model import read_signature
from argosy.components.shared import registry
from argosy.components.shared.s3 import MIB

log = logging.getLogger(__name__)


def download(version: ModelVersion, folder: Path) -> Path:
    """Download the version's model.onnx into `folder`; only that file.

    Raises:
        StepError: the version holds no such file, or the server failed.
    """
    where = f"models:/{version.name}/{version.version}/{MODEL_FILE}"
    with registry.mlflow_errors(f"download {where}"):
        path = Path(mlflow.artifacts.download_artifacts(where, dst_path=str(folder)))
    log.info("downloaded %s, %.2f MB", where, path.stat().st_size / MIB)
    return path


def describe(client: MlflowClient, version: ModelVersion, source: str, path: Path, sha256: str) -> Metadata:
    """The metadata of a downloaded model, without the stamp that Triton's version brings.

    Args:
        client: connected to the registry.
        version: the registered version.
        source: how the deployment asked for it, "alias:deploy" or "version:5".
        path: the downloaded file.
        sha256: the file's checksum, hexadecimal.
    """
    run = registry.get_run(client, version.run_id) if version.run_id else None
    name = (run.info.run_name or "") if run else ""
    origin = MlflowOrigin(version.name, str(version.version), version.run_id or "", source, name)
    signature = read_signature(path)
    facts = ModelFacts(
        format="onnx",
        file_size_mb=round(path.stat().st_size / MIB, 2),
        sha256=sha256,
        inputs=tuple(tensor.to_dict() for tensor in signature.inputs),
        outputs=tuple(tensor.to_dict() for tensor in signature.outputs),
    )
    measured = {metric: _measured(version, run, metric) for metric in VALIDATION_METRICS}
    return Metadata(origin, None, facts, ValidationFacts(**measured))


def _measured(version: ModelVersion, run: Run | None, metric: str) -> float | None:
    """A number of Gate 2: the export run's metric, else the version's tag of that name."""
    found = run.data.metrics.get(metric) if run else None
    value = found if found is not None else _number(version.tags.get(metric))
    if value is None or not math.isfinite(value):
        log.warning("version %s of %s has no %s: was it validated?", version.version, version.name, metric)
        return None
    return float(value)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
