"""A server that is away for a minute does not cost a training that took hours."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TypeVar

from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_delay, wait_exponential

log = logging.getLogger(__name__)

T = TypeVar("T")

VARIABLE = "ARGOSY_MLFLOW_PATIENCE"
SECONDS = 120.0


def patiently(call: Callable[[], T]) -> T:
    """The result of `call`, repeated while MLflow cannot be reached or is overloaded.

    MLflow's client repeats each request for a few seconds by itself. This goes on for SECONDS, or as many as
    $ARGOSY_MLFLOW_PATIENCE says; then the last error is raised. What is wrong with the request itself is
    raised at once.
    """
    for attempt in Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(float(os.environ.get(VARIABLE) or SECONDS)),
        wait=wait_exponential(max=10),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    ):
        with attempt:
            return call()
    raise AssertionError("tenacity ends with a result or an error")


def is_transient(error: BaseException) -> bool:
    """Whether MLflow's client gave up on a connection, a timeout or a server's 5xx: a later try may do."""
    if isinstance(error, RequestException):
        return True
    return isinstance(error, MlflowException) and str(error).startswith("API request to")
