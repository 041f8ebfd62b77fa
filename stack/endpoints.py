"""Where the servers of the embedded stack listen, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from urllib.parse import urlsplit


def _check_url(field: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None or parts.port is None or parts.path:
        raise ValueError(f"{field}: '{url}' is not of the form http://HOST:PORT")


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
        for field in ("bucket", "access_key", "secret_key"):
            if not getattr(self, field):
                raise ValueError(f"{field} is empty")

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
