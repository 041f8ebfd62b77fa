"""The connection to S3: its settings, and how long anything may take.

A call that fails in a way that another try may cure (no connection, no answer, 5xx, throttling) is tried four
times with a growing, random pause.  The worst cases of one small call:

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
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import PartialCredentialsError
from botocore.loaders import Loader, create_loader

from argosy.components.shared.addresses import check_http
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from botocore.client import BaseClient

THREADS = 4
"""How many parts of one file travel at the same time."""

# It tells at every start that it found credentials, and where.
logging.getLogger("botocore.credentials").setLevel(logging.WARNING)

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SETTINGS = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    connect_timeout=5,
    read_timeout=20,
    retries={"total_max_attempts": 4, "mode": "standard"},
    max_pool_connections=2 * THREADS,
)


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
