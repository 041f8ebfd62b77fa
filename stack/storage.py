"""The S3 server: SeaweedFS in one process, every port of it on loopback and of our choice."""

from __future__ import annotations

import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.errors import StackError
from argosy.stack.process import HOST, PAIR_DISTANCE
from argosy.stack.service import S3Endpoint, Service, http
from argosy.stack.state import Credentials, StateFolder

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.client import BaseClient

NAME = "s3"
BUCKET = "my-triton-models"
REGION = "us-east-1"
MODELS = "models"
"""The key prefix of Triton's model repository."""

# Triton refuses to start on a prefix without objects. A file at the top of a repository is no model to it.
REPOSITORY_MARKER = f"{MODELS}/.keep"

_MARKER_TEXT = b"Triton's model repository, made by argosy up.\n" * 100
_READABLE_WITHIN = 20.0
_POLL = 0.1

_making = threading.Lock()

# SeaweedFS is a family of servers in one process, and each has an HTTP and a gRPC port.
_MEMBERS = ("master", "filer", "volume", "admin")
PORTS = (NAME, "s3.grpc", *_MEMBERS, *(f"{member}.grpc" for member in _MEMBERS[:-1]))
# The maintenance worker looks for admin's gRPC port at admin's port + 10,000, whatever it is told.
PAIRED_PORTS = ("admin",)


def endpoint(ports: dict[str, int], credentials: Credentials) -> S3Endpoint:
    """Return what a client needs."""
    return S3Endpoint(f"http://{HOST}:{ports[NAME]}", BUCKET, credentials.access_key, credentials.secret_key)


def client(
    target: S3Endpoint, *, connections: int = 10, attempts: int = 3, timeout: float = 30.0
) -> BaseClient:
    """Return a boto3 client that depends on nothing in the environment (`timeout` in seconds)."""
    from botocore.config import Config

    settings = Config(
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=connections,
        proxies={},
    )
    with _making:  # clients are for all threads, the session that makes them is not
        return _session().client(
            "s3",
            endpoint_url=target.endpoint,
            aws_access_key_id=target.access_key,
            aws_secret_access_key=target.secret_key,
            region_name=REGION,
            config=settings,
        )


@cache
def _session() -> Session:
    """One for all clients: it reads botocore's description of S3, which takes longer than a request."""
    import boto3

    return boto3.session.Session()


def prepare(target: S3Endpoint) -> None:
    """Make sure of the marker that makes an empty model repository one that Triton accepts, by reading it.

    After a restart SeaweedFS lists objects before it can read them: its volumes report a moment later. Once
    an object of before is read, all are.

    Raises:
        StackError: the object cannot be read within a bounded time.
    """
    from botocore.exceptions import ClientError

    s3, deadline = client(target, attempts=1), time.monotonic() + _READABLE_WITHIN
    while True:
        try:
            s3.get_object(Bucket=target.bucket, Key=REPOSITORY_MARKER)["Body"].read()
            return
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                # Not empty: an empty object has nothing in a volume, and reading it would prove nothing.
                s3.put_object(Bucket=target.bucket, Key=REPOSITORY_MARKER, Body=_MARKER_TEXT)
            elif time.monotonic() > deadline:
                raise StackError(f"{NAME} lists objects but cannot read them: {error}") from error
            else:
                time.sleep(_POLL)


def _check(target: S3Endpoint) -> None:
    # Unsigned: boto3 takes longer to import than a stack that is up needs for all of its checks.
    http(f"{target.endpoint}/healthz")


def _sweep(ports: dict[str, int]) -> None:
    """Remove the sockets that SeaweedFS leaves behind, named after its ports."""
    for port in (*(ports[name] for name in PORTS), ports["admin"] + PAIR_DISTANCE):
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            socket.unlink(missing_ok=True)


def _binary() -> str:
    """Return the path of `weed`, which its package puts beside the interpreter."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else "weed"


def _command(data: Path, ports: dict[str, int]) -> tuple[str, ...]:
    listen = [
        f"-{name.removesuffix('.grpc')}.port{'.grpc' if name.endswith('.grpc') else ''}" for name in PORTS
    ]
    return (
        *(_binary(), "mini", f"-dir={data}", f"-ip={HOST}", f"-ip.bind={HOST}", f"-bucket={BUCKET}"),
        *(f"{flag}={ports[name]}" for flag, name in zip(listen, PORTS, strict=True)),
        f"-admin.port.grpc={ports['admin'] + PAIR_DISTANCE}",
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
        *("-master.telemetry=false", "-volume.preStopSeconds=0"),
    )


def service(folder: StateFolder, ports: dict[str, int], credentials: Credentials) -> Service:
    """Describe the server."""
    data = folder.data(NAME)
    target = endpoint(ports, credentials)
    return Service(
        name=NAME,
        address=target.endpoint,
        command=_command(data, ports),
        environment={
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            # Go would let garbage grow to twice what is in use (700 MB after a dozen models); half of this
            # limit doubles the processor time of every transfer, which goes into collecting it.
            "GOMEMLIMIT": "512MiB",
        },
        folder=data,
        log=folder.log(NAME),
        check=lambda: _check(target),
        sweep=lambda: _sweep(ports),
        start_within=60.0,
    )
