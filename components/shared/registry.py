"""The MLflow model registry, as the steps use it.

Every function takes an `MlflowClient` made by `connect` and turns what MLflow or the network raises into one
`StepError` that says what was being done and on which server.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

# MLflow reads some of these while it is imported, so they come first. Each one yields to the environment.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow's own defaults (7 retries of 120 s) would hide a dead server for a quarter of an hour.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
# A step's log is read in a terminal: no progress bars, no links on standard output, no advice about git.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient
from requests.exceptions import RequestException

from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

# "latest" is MLflow's own word for the newest version, and it cannot be set as an alias.
_SOURCE = re.compile(r"alias:(?P<alias>[A-Za-z0-9_-]+)|version:(?P<version>[1-9][0-9]*)")
_NOT_FOUND = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


def redacted(uri: str) -> str:
    """The address without the user name and password that it may carry, fit for a log."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))


def _cause(error: Exception, tracking_uri: str) -> str:
    """What went wrong, on one line: the root of a network error, the first line of any other, no password."""
    root = re.search(r"\(Caused by .*?: (?P<reason>[^:]*)\)\)*$", str(error).strip())
    text = root["reason"].strip("\"'()") if root else str(error).strip() or type(error).__name__
    return text.splitlines()[0].replace(tracking_uri, redacted(tracking_uri))


@contextmanager
def mlflow_errors(action: str, tracking_uri: str | None = None) -> Iterator[None]:
    """Turn MLflow's and the network's errors into a `StepError` that begins with `action`.

    Args:
        action: what is being done, in the form "set alias 'champion' of digits".
        tracking_uri: the server; by default the one that `connect` chose.
    """
    try:
        yield
    except (MlflowException, RequestException) as error:
        uri = tracking_uri or mlflow.get_tracking_uri()
        raise StepError(f"MLflow at {redacted(uri)} could not {action}: {_cause(error, uri)}") from error


def connect(tracking_uri: str) -> MlflowClient:
    """Make `tracking_uri` this process's tracking server and registry, and check that it answers.

    The check is bounded: at most four tries of MLFLOW_HTTP_REQUEST_TIMEOUT (30) seconds, about ten seconds in
    all where the connection is refused.

    Raises:
        UsageError: the address is empty or of a kind that MLflow does not know.
        StepError: the server does not answer.
    """
    if not tracking_uri.strip():
        raise UsageError(
            "mlflow_tracking_uri is empty: give the server's address, e.g. http://mlflow.ai-platform:80"
        )
    try:
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except MlflowException as error:
        raise UsageError(
            f"mlflow_tracking_uri {redacted(tracking_uri)!r} is no MLflow server's address: "
            "use http://HOST:PORT or https://HOST"
        ) from error
    try:
        client.search_experiments(max_results=1)
    except (MlflowException, RequestException) as error:
        raise StepError(
            f"MLflow at {redacted(tracking_uri)} does not answer ({_cause(error, tracking_uri)}): "
            "check mlflow_tracking_uri, and that the server runs"
        ) from error
    log.info("MLflow at %s answers", redacted(tracking_uri))
    return client


def get_run(client: MlflowClient, run_id: str) -> Run:
    """The run of that id.

    Raises:
        StepError: there is no such run, it was deleted, or the server failed.
    """
    with mlflow_errors(f"find run {run_id!r}"):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise StepError(f"run {run_id!r} was deleted from MLflow at {redacted(mlflow.get_tracking_uri())}")
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
        except MlflowException as error:
            if error.error_code == _NOT_FOUND:
                return None
            raise


def get_version(client: MlflowClient, name: str, version: str | int) -> ModelVersion:
    """Version `version` of the registered model `name`.

    Raises:
        StepError: there is no such version, or the server failed.
    """
    with mlflow_errors(f"find version {version} of model {name!r}"):
        return client.get_model_version(name, str(version))


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
        raise UsageError(f"source {source!r} is neither 'alias:NAME' (as alias:deploy) nor 'version:NUMBER'")
    model = find_model(client, name)
    if model is None:
        raise StepError(f"MLflow at {redacted(mlflow.get_tracking_uri())} has no registered model {name!r}")
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
        except MlflowException:
            if find_model(client, name) is None:
                raise


def set_alias(client: MlflowClient, name: str, alias: str, version: str | int) -> None:
    """Point `alias` at one version, wherever it pointed before.

    Raises:
        StepError: the version does not exist, or the server failed.
    """
    with mlflow_errors(f"set alias {alias!r} of model {name!r} to version {version}"):
        client.set_registered_model_alias(name, alias, str(version))


def set_version_tags(client: MlflowClient, name: str, version: str | int, tags: Mapping[str, object]) -> None:
    """Write tags on a version, values as text; a tag that exists is overwritten.

    Raises:
        StepError: the version does not exist, or the server failed.
    """
    with mlflow_errors(f"tag version {version} of model {name!r}"):
        for key, value in tags.items():
            client.set_model_version_tag(name, str(version), key, str(value))
