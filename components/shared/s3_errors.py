"""What S3 and the network raise, told in one line; and the retry of conditional writes that met."""

from __future__ import annotations

import logging
from collections.abc import Callable

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

log = logging.getLogger(__name__)


class WriteConflict(Exception):
    """Two conditional writes of one key met in the same moment; S3 asks to try again."""


def conditionally(call: Callable[[], object]) -> bool:
    """Make a conditional call: True when done, False when its condition did not hold (412).

    Raises:
        WriteConflict: others kept writing the same key through six tries.
        ClientError: any other refusal.
    """
    for attempt in _on_conflict():
        with attempt:
            return _attempt(call)
    raise AssertionError("tenacity ends with a result or an error")


def code(error: ClientError) -> str:
    """S3's name for an error, as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    """The HTTP status that came with an error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def cause(error: Exception) -> str:
    """One line for the person at the terminal: what is wrong and where to look."""
    if isinstance(error, ClientError):
        if code(error) == "NoSuchBucket" or (status(error) == 404 and error.operation_name == "HeadBucket"):
            return "there is no such bucket; create it, or correct s3_bucket"
        if status(error) in (401, 403):
            return f"the credentials are wrong or lack the right ({code(error)}); check the keys or the role"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
    if isinstance(error, ConnectionError | HTTPClientError):
        return f"the server does not answer ({type(error).__name__}); check AWS_ENDPOINT_URL_S3"
    if isinstance(error, WriteConflict):
        return "others keep writing the same key"
    return " ".join(str(error).split())


def _on_conflict() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(WriteConflict),
        stop=stop_after_attempt(6),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        before_sleep=before_sleep_log(log, logging.INFO),
        reraise=True,
    )


def _attempt(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        if code(error) == "ConditionalRequestConflict":
            raise WriteConflict(str(error)) from error
        if status(error) == 412:
            return False
        raise
    return True
