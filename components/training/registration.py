"""Register the model that a run logged; at most one version a run."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.errors import StepError


def register_model_of_run(
    client: MlflowClient, name: str, run_id: str, tags: Mapping[str, object]
) -> ModelVersion:
    """The version of `name` that belongs to run `run_id`, registered now unless it was before.

    Args:
        client: from `registry.connect`.
        name: the registered model, created where it does not exist.
        run_id: the run; where it logged several models, the last one counts.
        tags: written on a new version, values as text.

    Raises:
        StepError: there is no such run, it logged no model, or MLflow failed.
    """
    existing = registry.version_of_run(client, name, run_id)
    if existing is not None:
        return existing
    model_id = _model_of(client, run_id)
    registry.ensure_model(client, name)
    text = {key: str(value) for key, value in tags.items()}
    with registry.mlflow_errors(f"register the model of run {run_id} as {name!r}"):
        return client.create_model_version(
            name, f"models:/{model_id}", run_id=run_id, tags=text, model_id=model_id
        )


def _model_of(client: MlflowClient, run_id: str) -> str:
    run = registry.get_run(client, run_id)
    models = run.outputs.model_outputs if run.outputs else []
    if not models:
        raise StepError(f"run {run_id} (status {run.info.status}) logged no model")
    return str(models[-1].model_id)
