"""The real servers, each also behind a proxy that can break the way to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.shared import registry, s3
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.stack import Stack
from tests.components.deployment.models import SIZE, conv_net
from tests.components.deployment.registering import register_model
from tests.conftest import pointed_at, quick_loads
from tests.faults.proxy import FaultProxy
from tests.faults.workflow import Workflow

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class World:
    """The stack, and the proxies that steps reach it through."""

    stack: Stack
    mlflow: str
    bucket: str
    triton: str
    triton_grpc: str
    to_mlflow: FaultProxy
    to_s3: FaultProxy
    to_triton: FaultProxy
    to_triton_grpc: FaultProxy


@pytest.fixture(scope="package")
def world(shared_stack: Stack) -> Iterator[World]:
    """MLflow, S3 and Triton; this process speaks to them directly, the steps through the proxies."""
    where = shared_stack.endpoints()
    proxies = [FaultProxy(t) for t in (where.mlflow, where.s3.endpoint, where.triton.http, where.triton.grpc)]
    with pointed_at(shared_stack), quick_loads():
        yield World(
            shared_stack, where.mlflow, where.s3.bucket, where.triton.http, where.triton.grpc, *proxies
        )
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model name of the test's own."""
    return f"{request.function.__name__.removeprefix('test_')[:60]}-{next(NUMBERS)}"


@pytest.fixture
def keys(name: str) -> ModelKeys:
    """The keys of the test's own model."""
    return ModelKeys("models", name)


@pytest.fixture
def bucket(world: World) -> Bucket:
    """The bucket that Triton reads, without a proxy."""
    return s3.connect(world.bucket)


@pytest.fixture
def triton(world: World) -> Triton:
    """The server, without a proxy."""
    return Triton(world.triton, world.triton_grpc)


@pytest.fixture
def client(world: World) -> MlflowClient:
    """The registry's client, without a proxy."""
    return registry.connect(world.mlflow)


@pytest.fixture
def register(client: MlflowClient, name: str) -> Callable[[bytes], str]:
    """Register a model's bytes as the next version, with alias `deploy`, as Gate 2 does; its number."""
    return lambda model: register_model(client, name, model)


@pytest.fixture
def workflow(world: World, name: str, tmp_path: Path) -> Callable[[str], Workflow]:
    """A deployment by the workflow with that uid, its steps behind the proxies."""

    def make(owner: str) -> Workflow:
        values = {
            "owner": owner,
            "model_name": name,
            "mlflow_tracking_uri": world.to_mlflow.url,
            "s3_bucket": world.bucket,
            "triton_url": world.to_triton.url,
            "triton_grpc_url": world.to_triton_grpc.url,
            "expected_input_shape": f"[1, 3, {SIZE}, {SIZE}]",
            "expected_output_shape": "[1, 10]",
        }
        environment = {**world.stack.environment(), "AWS_ENDPOINT_URL_S3": world.to_s3.url}
        return Workflow(tmp_path / owner, values, environment)

    return make


@pytest.fixture
def deployed(register: Callable[[bytes], str], workflow: Callable[[str], Workflow]) -> Workflow:
    """A first version of the model, deployed and live."""
    register(conv_net(1))
    first = workflow("first")
    first.run_all()
    return first
