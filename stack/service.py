"""The servers of the stack, as data: how each is started and seen to be well, and where a client finds it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from argosy.errors import StackError
from argosy.stack import process

_POLL = 0.05  # seconds between two looks at a server that starts

# A proxy from the environment must never come between us and loopback.
_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Service:
    """How to run one server."""

    name: str
    address: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    log: Path
    check: Callable[[], None]
    """Returns if the server is well, raises Unwell if not; takes a few seconds at most."""
    sweep: Callable[[], None] = lambda: None
    """Removes what a killed server leaves outside of its folder; only called while it does not run."""
    start_within: float = 60.0
    stop_within: float = 15.0

    def digest(self) -> str:
        """Return a fingerprint of the command and its settings: another one means that a restart is due."""
        text = json.dumps([self.command, sorted(self.environment.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it inherits our environment, but for what would lead it elsewhere."""
        environment = {**inherited(), **self.environment}
        try:
            return process.start(self.command, environment, self.log, self.folder)
        except OSError as error:
            hint = "its parts come with `pip install 'argosy[local]'`"
            raise StackError(f"{self.name} cannot be started: {error}; {hint}") from error

    def wait_until_well(self, child: subprocess.Popen[bytes], cancel: threading.Event) -> None:
        """Return once the server answers.

        Raises:
            StackError: it ended, or did not answer in time; the message has the last lines of its log.
            Cancelled: `cancel` was set meanwhile.
        """
        deadline = time.monotonic() + self.start_within
        while True:
            code = child.poll()
            if code is not None:
                raise StackError(self.obituary(f"ended with exit code {code} while it started"))
            try:
                return self.check()
            except Unwell as error:
                if time.monotonic() > deadline:
                    raise StackError(
                        self.obituary(f"was not ready in {self.start_within:.0f} s ({error})")
                    ) from error
            if cancel.wait(_POLL):
                raise Cancelled(f"{self.name}: the start was called off")

    def obituary(self, what: str) -> str:
        """Return an error message: who, what happened, the last words, where the rest is."""
        return f"{self.name} {what}; the last lines of {self.log}:\n{process.tail(self.log)}"


class Unwell(Exception):
    """A server does not answer as it should; the message says how. For health checks and their callers."""


class Cancelled(StackError):
    """The work was called off because something else failed, or by Ctrl-C."""


def inherited() -> dict[str, str]:
    """Return our environment without other people's MLflow and AWS settings, which would mislead a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))}


def http(url: str, timeout: float = 3.0, body: bytes | None = None) -> bytes:
    """GET a loopback URL (POST if there is a body); raises Unwell unless the answer is a success."""
    try:
        with _direct.open(url, data=body, timeout=timeout) as answer:
            content: bytes = answer.read()
            return content
    except URLError as error:  # an HTTPError is one too, and its text has the status
        raise Unwell(f"{url}: {error}") from error
    except (OSError, ValueError) as error:
        raise Unwell(f"{url}: {type(error).__name__} {error}") from error


@dataclass(frozen=True)
class Endpoints:
    """All that a client of the stack needs to know."""

    mlflow: str
    s3: S3Endpoint
    triton: TritonEndpoint

    def __post_init__(self) -> None:
        """Refuse what no client could use (raises ValueError)."""
        _check_url("mlflow", self.mlflow)

    def told(self) -> dict[str, str]:
        """Return addresses by the servers' names, for people."""
        return {
            "MLflow": self.mlflow,
            "S3": f"{self.s3.endpoint}, bucket {self.s3.bucket}",
            "Triton": f"{self.triton.http}, gRPC {self.triton.grpc}",
        }

    def details(self) -> list[str]:
        """Return what a client of S3 and gRPC needs beside the addresses; the secret key is masked."""
        s3 = self.s3
        return [
            f"Triton gRPC {self.triton.grpc}",
            f"S3 bucket {s3.bucket}, access key {s3.access_key}, secret key ********",
        ]

    def pages(self) -> dict[str, str]:
        """Return the web pages on which people look at a run, by name."""
        return {"MLflow": self.mlflow}

    def to_dict(self) -> dict[str, object]:
        """Return plain data, in the shape of `argosy status --output json` (with the secret key)."""
        return asdict(self)


@dataclass(frozen=True)
class S3Endpoint:
    """An S3 server, one bucket on it, and the only key pair that it accepts."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str

    def __post_init__(self) -> None:
        """Refuse what no client could use (raises ValueError)."""
        _check_url("endpoint", self.endpoint)
        for name in ("bucket", "access_key", "secret_key"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty")

    def __repr__(self) -> str:
        """Show everything but the secret: a repr ends up in logs and tracebacks."""
        return (
            f"S3Endpoint(endpoint={self.endpoint!r}, bucket={self.bucket!r}, access_key={self.access_key!r})"
        )


@dataclass(frozen=True)
class TritonEndpoint:
    """A Triton server: `http` is a URL, `grpc` is `HOST:PORT` as gRPC clients want it."""

    http: str
    grpc: str

    def __post_init__(self) -> None:
        """Refuse what no client could use (raises ValueError)."""
        _check_url("http", self.http)
        host, _, port = self.grpc.rpartition(":")
        if not host or "/" in host or not port.isdigit():
            raise ValueError(f"grpc: '{self.grpc}' is not of the form HOST:PORT")


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None or parts.port is None or parts.path:
        raise ValueError(f"{name}: '{url}' is not of the form http://HOST:PORT")
