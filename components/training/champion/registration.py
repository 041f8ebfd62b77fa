"""Register the model that a run logged; at most one version a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.errors import StepError

log = logging.getLogger(__name__)


def register_model_of_run(
    client: MlflowClient, name: str, run_id: str, tags: Mapping[str, object]
) -> ModelVersion:
    """The version of `name` that belongs to run `run_id`, registered now unless it was before.

    Where two steps register the same run at once, the older version stays and the other is removed again.

    Args:
        client: from `registry.connect`.
        name: the registered model, created where it does not exist.
        run_id: the run; where it logged several models, the last whole one counts.
        tags: written on a new version, values as text.

    Raises:
        StepError: there is no such run, it logged no model, or MLflow failed.
    """
    existing = registry.version_of_run(client, name, run_id)
    if existing is not None:
        return existing
    model_id = logged_model(client, run_id)
    if model_id is None:
        status = registry.get_run(client, run_id).info.status
        raise StepError(f"run {run_id} (status {status}) logged no model")
    registry.ensure_model(client, name)
    text = {key: str(value) for key, value in tags.items()}
    with registry.mlflow_errors(f"register the model of run {run_id} as {name!r}"):
        made = client.create_model_version(
            name, f"models:/{model_id}", run_id=run_id, tags=text, model_id=model_id
        )
    return _oldest(client, made, run_id)


def logged_model(client: MlflowClient, run_id: str) -> str | None:
    """The id of the last model that the run logged to its end; None where there is none.

    Raises:
        StepError: there is no such run, or MLflow failed.
    """
    run = registry.get_run(client, run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    for output in reversed(outputs):
        with registry.mlflow_errors(f"read model {output.model_id} of run {run_id}"):
            if client.get_logged_model(output.model_id).status == LoggedModelStatus.READY:
                return str(output.model_id)
    return None


def all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of the registered model, tags included.

    Raises:
        StepError: MLflow failed.
    """
    found: list[ModelVersion] = []
    token: str | None = None
    while token is None or token:
        with registry.mlflow_errors(f"list the versions of model {name!r}"):
            page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token or ""
    return found


def _oldest(client: MlflowClient, made: ModelVersion, run_id: str) -> ModelVersion:
    """The older version that another step made of the same run meanwhile, else the one that was made here."""
    oldest = registry.version_of_run(client, made.name, run_id)
    if oldest is None or str(oldest.version) == str(made.version):
        return made
    log.info("run %s is version %s of %s already", run_id, oldest.version, made.name)
    with registry.mlflow_errors(f"remove version {made.version} of model {made.name!r}"):
        client.delete_model_version(made.name, str(made.version))
    return oldest
