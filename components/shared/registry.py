"""MLflow and its model registry, as the steps use them.

`connect` gives all of MLflow.  `connect_lightly` gives the registry alone, over REST, and spares a step the
seconds that importing MLflow takes.  Every function takes a client made by one of them, and turns what MLflow
or the network raises into one `StepError` that says what was being done and on which server.

MLflow's client retries by itself, with a growing pause, what a later try may cure: a refused or broken
connection, no answer in time, the answers 408, 429 and 5xx.  An error of the request itself (400, 403,
404) is told at once.  The settings below bound it; urllib3 logs each retry.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from requests.exceptions import RequestException

from argosy.components.shared import mlflow_rest
from argosy.components.shared.addresses import check_mlflow, redacted
from argosy.components.shared.mlflow_rest import MlflowRefused, RestClient
from argosy.errors import StepError, UsageError
from argosy.step.values import shown

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

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
# "latest" is MLflow's own word for the newest version, and it cannot be set as an alias.
_SOURCE = re.compile(r"alias:(?P<alias>[A-Za-z0-9_-]+)|version:(?P<version>[1-9][0-9]*)")
# The server of the last `connect_lightly`; empty: MLflow knows its server by itself.
_light_uri = ""


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
            if _is_missing(error):
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
            if _is_missing(error):
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


def failures() -> tuple[type[Exception], ...]:
    """The errors of MLflow and of the network; MLflow's own class only where MLflow was imported."""
    exceptions = sys.modules.get("mlflow.exceptions")
    return (MlflowRefused, RequestException, *([exceptions.MlflowException] if exceptions else []))


def _is_missing(error: Exception) -> bool:
    """Whether MLflow says that what was asked for does not exist."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


def current_uri() -> str:
    """The server that the last connection was made to."""
    if _light_uri:
        return _light_uri
    import mlflow

    return str(mlflow.get_tracking_uri())


def _cause(error: Exception, tracking_uri: str) -> str:
    """An error on one line: the root of a network error, the first line of any other, no password."""
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
    except failures() as error:
        uri = tracking_uri or current_uri()
        raise StepError(f"MLflow at {redacted(uri)} could not {action}: {_cause(error, uri)}") from error


def connect(tracking_uri: str) -> MlflowClient:
    """Make `tracking_uri` this process's tracking server and registry, and check that it answers.

    The check is bounded: at most four tries of MLFLOW_HTTP_REQUEST_TIMEOUT (30) seconds, about ten seconds in
    all where the connection is refused.

    Raises:
        UsageError: the address is empty or of a kind that MLflow does not know.
        StepError: the server does not answer.
    """
    global _light_uri
    _check_given(tracking_uri)
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    _light_uri = ""
    try:
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except MlflowException as error:
        raise UsageError(
            f"mlflow_tracking_uri {redacted(tracking_uri)!r} is no MLflow server's address: "
            "use http://HOST:PORT or https://HOST"
        ) from error
    _check_answers(client, tracking_uri)
    return client


def connect_lightly(tracking_uri: str) -> MlflowClient:
    """As `connect`, for a step that needs the registry alone: its client has the methods `registry` uses.

    It is a `RestClient` where that can reach the server, else MLflow's own client.

    Raises:
        UsageError, StepError: as `connect`.
    """
    global _light_uri
    _check_given(tracking_uri)
    if not mlflow_rest.serves(tracking_uri):
        return connect(tracking_uri)
    _light_uri = tracking_uri
    client = cast("MlflowClient", RestClient(tracking_uri))
    _check_answers(client, tracking_uri)
    return client


def _check_given(tracking_uri: str) -> None:
    if not tracking_uri.strip():
        raise UsageError(
            "mlflow_tracking_uri is empty: give the server's address, e.g. http://mlflow.ai-platform:80"
        )
    check_mlflow("mlflow_tracking_uri", tracking_uri)


def _check_answers(client: MlflowClient, tracking_uri: str) -> None:
    try:
        client.search_experiments(max_results=1)
    except failures() as error:
        raise StepError(
            f"MLflow at {redacted(tracking_uri)} does not answer ({_cause(error, tracking_uri)}): "
            "check mlflow_tracking_uri, and that the server runs"
        ) from error
    log.info("MLflow at %s answers", redacted(tracking_uri))
