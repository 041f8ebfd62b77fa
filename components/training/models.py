"""Load models and small files back from MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
from mlflow.tracking import MlflowClient
from torch import nn

from argosy.components.shared.registry import mlflow_errors


def load_pytorch(name: str, version: str) -> nn.Module:
    """The network of exactly this registered version, on the CPU, as it was exported in evaluation mode.

    Raises:
        StepError: there is no such version, or it is no PyTorch model.
    """
    with mlflow_errors(f"load version {version} of model {name!r}"):
        model: nn.Module = mlflow.pytorch.load_model(f"models:/{name}/{version}")
    # An exported program has no train() and eval(); its layers were fixed when it was stored. The flag only
    # keeps exporters from warning.
    for module in model.modules():
        module.training = False
    return model


def download(run_id: str, artifact: str, folder: Path) -> Path:
    """Download one artifact of a run into `folder`.

    Raises:
        StepError: the run has no such artifact, or MLflow failed.
    """
    with mlflow_errors(f"download {artifact} of run {run_id}"):
        return Path(
            mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=artifact, dst_path=str(folder))
        )


def read_json(client: MlflowClient, run_id: str, artifact: str, folder: Path) -> Any:
    """The content of a JSON artifact of a run; None where the run has none.

    Raises:
        StepError: MLflow failed.
    """
    with mlflow_errors(f"list the artifacts of run {run_id}"):
        present = {entry.path for entry in client.list_artifacts(run_id)}
    if artifact not in present:
        return None
    return json.loads(download(run_id, artifact, folder).read_text(encoding="utf-8"))
