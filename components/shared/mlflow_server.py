"""The MLflow server: how a step reaches it, how long it tries, and how it tells what went wrong.

MLflow's client retries by itself, with a growing pause, what a later try may cure: a refused or broken
connection, no answer in time, the answers 408, 429 and 5xx.  An error of the request itself (400, 403,
404) is told at once.  The settings below bound it; urllib3 logs each retry.

`connect` gives all of MLflow.  `connect_lightly` gives the registry alone, over REST, and spares a step the
seconds that importing MLflow takes.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

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

from requests.exceptions import RequestException

from argosy.components.shared import mlflow_rest
from argosy.components.shared.addresses import check_mlflow, redacted
from argosy.components.shared.mlflow_rest import MlflowRefused, RestClient
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

# The server of the last `connect_lightly`; empty: MLflow knows its server by itself.
_light_uri = ""


def failures() -> tuple[type[Exception], ...]:
    """The errors of MLflow and of the network; MLflow's own class only where MLflow was imported."""
    exceptions = sys.modules.get("mlflow.exceptions")
    return (MlflowRefused, RequestException, *([exceptions.MlflowException] if exceptions else []))


def is_missing(error: Exception) -> bool:
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
