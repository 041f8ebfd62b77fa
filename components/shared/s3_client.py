"""The connection to S3: its settings, how long anything may take, and its errors, told in one line.

| what | who tries again | at most |
| --- | --- | --- |
| no connection, no answer, 5xx, throttling | the client | 4 tries, 90 s in all |
| an answer that breaks off while it is read | `resumed` | 8 tries, from where it broke |
| two conditional writes that met (409) | `conditionally` | 6 tries, a few seconds |
| wrong keys, no bucket, no right, wrong clock | nobody: it is told at once | 1 try |

The client's tries have a growing, random pause between them.  The worst cases of one small call:

| the server | seconds |
| --- | --- |
| refuses connections | 7 (pauses of at most 1, 2 and 4) |
| cannot be reached | 4 tries of 5, and the pauses: 27 |
| takes the call and never answers | 4 tries of 20, and the pauses: 87 |

A transfer of many parts is as long as it moves: each part is bounded as above.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import boto3
import botocore.session
from botocore.config import Config
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
from botocore.loaders import Loader, create_loader
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from argosy.components.shared.addresses import check_http
from argosy.components.shared.retries import before_next
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from botocore.client import BaseClient

log = logging.getLogger(__name__)

THREADS = 4
"""How many parts of one file travel at the same time."""
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SETTINGS = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    connect_timeout=5,
    read_timeout=20,
    retries={"total_max_attempts": 4, "mode": "standard"},
    max_pool_connections=2 * THREADS,
)
T = TypeVar("T")


# It tells at every start that it found credentials, and where.
logging.getLogger("botocore.credentials").setLevel(logging.WARNING)


def _descriptions() -> Loader:
    """botocore's description of S3, which takes longer to read than a request."""
    loader = create_loader(os.environ.get("AWS_DATA_PATH"))
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", kind, api_version=None)
    for name in ("partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    loader.load_data_with_path("endpoints")
    return loader


# Read when the module is imported: a step that stands by has done it before its turn.
_DESCRIPTIONS = _descriptions()


def make_client() -> BaseClient:
    """A client for the server that AWS_ENDPOINT_URL_S3 names (AWS where it is not set).

    Credentials come from where boto3 looks for them: environment, files, the pod's service account.

    Raises:
        UsageError: an endpoint that is no address.
        StepError: half of the credentials.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or None
    if endpoint:
        check_http("AWS_ENDPOINT_URL_S3", endpoint, "http://HOST:PORT")
    region = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    # A session of its own: boto3's default one remembers the credentials it first saw.
    session = botocore.session.get_session()
    session.register_component("data_loader", _DESCRIPTIONS)
    try:
        return boto3.Session(botocore_session=session).client(
            "s3", endpoint_url=endpoint, region_name=region, config=_SETTINGS
        )
    except ValueError as error:
        raise UsageError(
            f"AWS_ENDPOINT_URL_S3 {endpoint!r} is no address such as http://HOST:PORT"
        ) from error
    except PartialCredentialsError as error:
        raise StepError(f"S3 credentials are incomplete: {error}") from error


def check_bucket_name(bucket: str) -> str:
    """`bucket`, if it can be a bucket's name; raises UsageError."""
    if not _BUCKET_NAME.fullmatch(bucket):
        raise UsageError(f"s3_bucket {bucket[:100]!r} is no bucket's name: 3 to 63 of a-z, 0-9, dot and dash")
    return bucket


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
        before_sleep=before_next(log, logging.INFO),
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
