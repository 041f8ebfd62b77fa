"""The real servers, and what the steps' tests do with them again and again."""

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.aliases.moves import AliasTable
from argosy.components.deployment.model.artifacts import lay_out
from argosy.components.deployment.model.layout import (
    Metadata,
    MlflowOrigin,
    ModelFacts,
    ModelKeys,
    ValidationFacts,
)
from argosy.components.deployment.repository.versions import Claim
from argosy.components.shared import registry, s3
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.stack import Stack
from tests.components.deployment.registering import GATE_2, register_model
from tests.conftest import pointed_at

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Servers:
    """Where the real servers are."""

    mlflow: str
    bucket: str
    triton: str
    triton_grpc: str


@pytest.fixture(scope="package")
def servers(shared_stack: Stack) -> Iterator[Servers]:
    """MLflow, S3 and Triton, with this process's environment pointing at the S3 server."""
    where = shared_stack.endpoints()
    with pointed_at(shared_stack):
        yield Servers(where.mlflow, where.s3.bucket, where.triton.http, where.triton.grpc)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model name of the test's own."""
    return f"{request.function.__name__.removeprefix('test_')[:60]}-{next(NUMBERS)}"


@pytest.fixture
def keys(name: str) -> ModelKeys:
    """The keys of the test's own model."""
    return ModelKeys("models", name)


@pytest.fixture
def bucket(servers: Servers) -> Bucket:
    """The bucket that Triton reads."""
    return s3.connect(servers.bucket)


@pytest.fixture
def triton(servers: Servers) -> Triton:
    """The server, loads over gRPC."""
    return Triton(servers.triton, servers.triton_grpc)


@pytest.fixture
def client(servers: Servers) -> MlflowClient:
    """The registry's client."""
    return registry.connect(servers.mlflow)


@pytest.fixture(scope="package")
def registry_file() -> Iterator[str]:
    """A registry of MLflow's on SQLite, without a server, in memory where that is possible.

    Quick enough to be killed in at every write.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def table(registry_file: str, name: str) -> AliasTable:
    """The aliases of a model with versions 1 to 4, none of them set."""
    client = MlflowClient(registry_file, registry_file)
    registry.ensure_model(client, name)
    for _ in range(4):
        client.create_model_version(name, "/nowhere/model", await_creation_for=0)
    return AliasTable(client, name)


@pytest.fixture
def register(client: MlflowClient, name: str) -> Callable[[bytes], str]:
    """Register a model's bytes as the next version, with alias `deploy`, as Gate 2 does; its number."""

    def put(model: bytes, metrics: Mapping[str, float] = GATE_2) -> str:
        return register_model(client, name, model, metrics)

    return put


def claim_for(model: bytes, owner: str = "workflow-1") -> Claim:
    """A claim for a model's bytes."""
    return Claim(owner, "1", hashlib.sha256(model).hexdigest())


def prepared(folder: Path, name: str, version: int, model: bytes) -> Path:
    """The folder that prepare-artifacts makes of a model's bytes."""
    folder.mkdir()
    file, metadata, made = folder / "model.onnx", folder / "metadata.json", folder / "artifacts"
    file.write_bytes(model)
    facts = ModelFacts("onnx", 0.0, hashlib.sha256(model).hexdigest(), (), ())
    origin = MlflowOrigin(name, "1", "run", "alias:deploy", "export")
    Metadata(origin, None, facts, ValidationFacts(None, None, None)).write(metadata)
    made.mkdir()
    lay_out(made, file, metadata, name, version, "test")
    return made
