"""Errors of S3 and of the network, told in one line; and which of them are worth another try.

| what | who tries again | at most |
| --- | --- | --- |
| no connection, no answer, 5xx, throttling | the client (`s3_client`) | 4 tries, 90 s in all |
| an answer that breaks off while it is read | `resumed` | 8 tries, from where it broke |
| two conditional writes that met (409) | `conditionally` | 6 tries, a few seconds |
| wrong keys, no bucket, no right, wrong clock | nobody: it is told at once | 1 try |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from tenacity import (
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


class WriteConflict(Exception):
    """Two conditional writes of one key met in the same moment; S3 asks to try again."""


class BrokenAnswer(Exception):
    """The connection broke while an answer was read."""


def conditionally(call: Callable[[], object]) -> bool:
    """Make a conditional call: True when done, False when its condition did not hold (412).

    Raises:
        WriteConflict: others kept writing the same key through six tries.
        ClientError: any other refusal.
    """
    return _tries(WriteConflict, 6)(_attempt, call)


def resumed(read: Callable[[], T]) -> T:
    """Call `read` again, up to 8 times in all, while the connection breaks under it.

    Raises:
        BrokenAnswer: it broke each time.
    """
    return _tries(BrokenAnswer, 8)(read)


@contextmanager
def reading() -> Iterator[None]:
    """Around the reading of an answer's body: what breaks it becomes a `BrokenAnswer`."""
    try:
        yield
    except (ResponseStreamingError, IncompleteReadError, ReadTimeoutError) as error:
        raise BrokenAnswer(str(error)) from error


def code(error: ClientError) -> str:
    """S3's name for an error, as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status(error: ClientError) -> int:
    """The HTTP status that came with an error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def cause(error: BaseException) -> str:
    """One line for the person at the terminal: what is wrong and where to look."""
    if isinstance(error, ClientError):
        return _refusal(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
    if isinstance(error, BrokenAnswer):
        return "the connection broke again and again while the answer was read"
    if isinstance(error, ConnectionError | HTTPClientError):
        return f"the server does not answer ({type(error).__name__}); check AWS_ENDPOINT_URL_S3"
    if isinstance(error, WriteConflict):
        return "others keep writing the same key"
    return " ".join(str(error).split())


def _refusal(error: ClientError) -> str:
    name, number = code(error), status(error)
    if name == "NoSuchBucket" or (number == 404 and error.operation_name == "HeadBucket"):
        return "there is no such bucket; create it, or correct s3_bucket"
    if name in ("RequestTimeTooSkewed", "RequestExpired"):
        return f"this machine's clock is wrong by more than 15 minutes ({name}); set it"
    if number in (401, 403):
        return f"the credentials are wrong or lack the right ({name}); check the keys or the role"
    if number == 412:
        return "it changed meanwhile; run the step again"
    if number >= 500:
        return f"the server failed on every try (HTTP {number} {name}); run the step again later"
    return " ".join(str(error).split())


def _tries(kind: type[Exception], attempts: int) -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(kind),
        stop=stop_after_attempt(attempts),
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
        # The object that a condition names may be gone; and a completed upload is no longer known, which is
        # the answer to the client's second try of a completion that arrived.
        if status(error) == 412 or code(error) in ("NoSuchKey", "NoSuchUpload"):
            return False
        raise
    return True
