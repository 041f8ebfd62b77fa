"""The MLflow model registry, as the steps use it.

Every function takes a client made by `connect` or `connect_lightly`, and turns what MLflow or the network
raises into one `StepError` that says what was being done and on which server.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from argosy.components.shared.addresses import redacted
from argosy.components.shared.mlflow_server import (
    connect,
    connect_lightly,
    current_uri,
    failures,
    is_missing,
    mlflow_errors,
)
from argosy.errors import StepError, UsageError
from argosy.step.values import shown

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

__all__ = [
    "all_versions",
    "connect",
    "connect_lightly",
    "current_uri",
    "delete_alias",
    "delete_version_tags",
    "ensure_model",
    "failures",
    "find_model",
    "find_version",
    "get_run",
    "get_version",
    "mlflow_errors",
    "redacted",
    "resolve",
    "run_metric",
    "set_alias",
    "set_version_tags",
    "version_by_alias",
    "version_of_run",
]

log = logging.getLogger(__name__)

# "latest" is MLflow's own word for the newest version, and it cannot be set as an alias.
_SOURCE = re.compile(r"alias:(?P<alias>[A-Za-z0-9_-]+)|version:(?P<version>[1-9][0-9]*)")


def get_run(client: MlflowClient, run_id: str) -> Run:
    """The run of that id.

    Raises:
        StepError: there is no such run, it was deleted, or the server failed.
    """
    with mlflow_errors(f"find run {run_id!r}"):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise StepError(f"run {run_id!r} was deleted from MLflow at {redacted(current_uri())}")
    return run


def run_metric(client: MlflowClient, run_id: str, metric: str) -> float:
    """The last value of one metric of a run: always a finite number.

    Raises:
        StepError: unknown run, metric never logged (the message lists those that were), or not finite.
    """
    metrics = get_run(client, run_id).data.metrics
    if metric not in metrics:
        known = ", ".join(sorted(metrics)) or "none"
        raise StepError(f"run {run_id} has no metric {metric!r}; it logged: {known}")
    value = float(metrics[metric])
    if not math.isfinite(value):
        raise StepError(f"metric {metric!r} of run {run_id} is {value}, not a finite number")
    return value


def find_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    """The registered model `name`, or None where there is none.

    Raises:
        StepError: the server failed.
    """
    with mlflow_errors(f"read registered model {name!r}"):
        try:
            return client.get_registered_model(name)
        except failures() as error:
            if is_missing(error):
                return None
            raise


def get_version(client: MlflowClient, name: str, version: str | int) -> ModelVersion:
    """Version `version` of the registered model `name`.

    Raises:
        StepError: there is no such version, or the server failed.
    """
    with mlflow_errors(f"find version {version} of model {name!r}"):
        return client.get_model_version(name, str(version))


def find_version(client: MlflowClient, name: str, version: str | int) -> ModelVersion | None:
    """Version `version` of the registered model `name`, or None where there is none.

    Raises:
        StepError: the server failed.
    """
    with mlflow_errors(f"find version {version} of model {name!r}"):
        try:
            return client.get_model_version(name, str(version))
        except failures() as error:
            if is_missing(error):
                return None
            raise


def all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of the registered model `name`, with its tags, oldest first; none without the model.

    Args:
        client: made by `connect`.
        name: without a quote, as `check_name` wants it.

    Raises:
        StepError: the server failed.
    """
    with mlflow_errors(f"list the versions of model {name!r}"):
        found = client.search_model_versions(f"name='{name}'")
    return sorted(found, key=lambda version: int(version.version))


def version_by_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that `alias` points to; None where the model or the alias does not exist.

    It reads the model's own table of aliases: asking for a missing alias directly raises errors that differ
    between back ends and cannot be told from those of a malformed request.

    Raises:
        StepError: the server failed.
    """
    model = find_model(client, name)
    if model is None or alias not in model.aliases:
        return None
    return get_version(client, name, model.aliases[alias])


def version_of_run(client: MlflowClient, name: str, run_id: str) -> ModelVersion | None:
    """The oldest version of `name` that was registered from run `run_id`; None where there is none.

    Raises:
        StepError: the server failed.
    """
    with mlflow_errors(f"list the versions of model {name!r}"):
        found = client.search_model_versions(f"run_id='{run_id}'")
    versions = [version for version in found if version.name == name]
    return min(versions, key=lambda version: int(version.version), default=None)


def resolve(client: MlflowClient, name: str, source: str) -> ModelVersion:
    """The version that `source`, "alias:NAME" or "version:NUMBER", means.

    Raises:
        UsageError: `source` has another form.
        StepError: the model, the alias or the version does not exist, or the server failed.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise UsageError(
            f"source {shown(source)} is neither 'alias:NAME' (as alias:deploy) nor 'version:NUMBER'"
        )
    model = find_model(client, name)
    if model is None:
        raise StepError(f"MLflow at {redacted(current_uri())} has no registered model {name!r}")
    if match["version"]:
        return get_version(client, name, match["version"])
    if match["alias"] not in model.aliases:
        known = ", ".join(sorted(model.aliases)) or "none"
        raise StepError(f"model {name!r} has no alias {match['alias']!r}; its aliases: {known}")
    return get_version(client, name, model.aliases[match["alias"]])


def ensure_model(client: MlflowClient, name: str) -> None:
    """Create the registered model `name` unless it exists; two steps may race for it.

    Raises:
        StepError: the server failed or refused the name.
    """
    if find_model(client, name) is not None:
        return
    with mlflow_errors(f"create registered model {name!r}"):
        try:
            client.create_registered_model(name)
        except failures():
            if find_model(client, name) is None:
                raise


def set_alias(client: MlflowClient, name: str, alias: str, version: str | int) -> None:
    """Point `alias` at one version, wherever it pointed before.

    Raises:
        StepError: the version does not exist, or the server failed.
    """
    with mlflow_errors(f"set alias {alias!r} of model {name!r} to version {version}"):
        client.set_registered_model_alias(name, alias, str(version))


def delete_alias(client: MlflowClient, name: str, alias: str) -> None:
    """Remove `alias` from the model; one that is not set stays so.

    Raises:
        StepError: the server failed.
    """
    with mlflow_errors(f"clear alias {alias!r} of model {name!r}"):
        client.delete_registered_model_alias(name, alias)


def set_version_tags(client: MlflowClient, name: str, version: str | int, tags: Mapping[str, object]) -> None:
    """Write tags on a version, values as text; a tag that exists is overwritten.

    Raises:
        StepError: the version does not exist, or the server failed.
    """
    with mlflow_errors(f"tag version {version} of model {name!r}"):
        for key, value in tags.items():
            client.set_model_version_tag(name, str(version), key, str(value))


def delete_version_tags(client: MlflowClient, version: ModelVersion, tags: Iterable[str]) -> None:
    """Remove those of `tags` that `version` was read with.

    Raises:
        StepError: the server failed.
    """
    with mlflow_errors(f"remove tags of version {version.version} of model {version.name!r}"):
        for key in tags:
            if key in version.tags:
                client.delete_model_version_tag(version.name, str(version.version), key)
