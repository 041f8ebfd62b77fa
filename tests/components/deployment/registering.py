"""Registering a model as Gate 2 does, for tests that deploy one."""

from __future__ import annotations

from collections.abc import Mapping

import mlflow
import onnx
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry

GATE_2 = {
    "validation_max_diff": 1.5e-6,
    "validation_mean_diff": 2e-7,
    "validation_onnx_speedup": 1.5,
    "validation_median_diff": 1e-7,
    "validation_argmax_agreement": 1.0,
}


def register_model(
    client: MlflowClient, name: str, model: bytes, metrics: Mapping[str, float] = GATE_2
) -> str:
    """Register a model's bytes as the next version of `name`, with alias `deploy`; the version's number."""
    mlflow.set_experiment("deployment")
    with mlflow.start_run(run_name=f"export-{name}") as run:
        mlflow.log_metrics(dict(metrics))
        info = mlflow.onnx.log_model(
            onnx.load_from_string(model), name="model", pip_requirements=["onnx"], save_as_external_data=False
        )
    registry.ensure_model(client, name)
    made = client.create_model_version(name, info.model_uri, run.info.run_id, model_id=info.model_id)
    registry.set_alias(client, name, "deploy", made.version)
    return str(made.version)
