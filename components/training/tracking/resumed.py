"""Going on in the MLflow run of a training that was cut off."""

from __future__ import annotations

import mlflow
from mlflow.tracking import MlflowClient

from argosy.components.shared.mlflow_server import mlflow_errors

TRAINING_TAG = "argosy.training"  # which training a run belongs to, wherever its process dies


def open_run(name: str, tags: dict[str, str], training: str, run_id: str) -> mlflow.ActiveRun:
    """Start a run in the active experiment, or go on in the one that this training began.

    Args:
        name: of a new run.
        tags: written either way.
        training: what the run is found by if its process died before the first checkpoint; empty: never.
        run_id: the run that the checkpoint names; empty: there is none.

    Raises:
        StepError: MLflow failed, or has no such run.
    """
    run_id = run_id or (_unfinished(training) if training else "")
    action = f"go on in run {run_id}, which this training began" if run_id else f"start run {name!r}"
    with mlflow_errors(action):
        if run_id:
            return mlflow.start_run(run_id=run_id, tags=tags)
        return mlflow.start_run(run_name=name, tags={**tags, TRAINING_TAG: training} if training else tags)


def epochs_of(run_id: str) -> set[int]:
    """The epochs whose metrics the run has.

    Raises:
        StepError: MLflow failed.
    """
    with mlflow_errors(f"read the metrics of run {run_id}"):
        return {metric.step for metric in MlflowClient().get_metric_history(run_id, "epoch_time")}


def _unfinished(training: str) -> str:
    """The id of the newest run of this training that did not end well; empty where there is none."""
    condition = f"tags.`{TRAINING_TAG}` = '{training}' and attributes.status != 'FINISHED'"
    with mlflow_errors("look for the run that this training began"):
        runs = mlflow.search_runs(filter_string=condition, max_results=1, output_format="list")
    return str(runs[0].info.run_id) if runs else ""
