"""The step: what it does with MLflow, S3 and Triton, and what it does without one of them."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import reload_triton
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.model.triton_config import load_config, named_versions
from argosy.components.deployment.swap.serving import ready_versions
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton, TritonTimeout
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.configuring import published_config
from tests.components.deployment.conftest import Servers
from tests.faults.proxy import Fault, FaultProxy

Reload = Callable[..., Any]


@pytest.fixture
def reload(servers: Servers, bucket: Bucket, keys: ModelKeys, tmp_path: Path) -> Reload:
    """The step, on a model with three published versions that nobody loaded yet."""
    published_config(bucket, keys, tmp_path)
    for version in (1, 2, 3):
        bucket.write_if_absent(keys.version(version) + "model.onnx", models.conv_net(version))
    return partial(
        reload_triton,
        model_name=keys.model,
        triton_url=servers.triton,
        triton_grpc_url=servers.triton_grpc,
        load_timeout=60,
        mlflow_tracking_uri=servers.mlflow,
        s3_bucket=servers.bucket,
    )


@pytest.fixture
def hung(servers: Servers) -> Iterator[Callable[[str], FaultProxy]]:
    """Makes a way to a server that takes connections and never answers."""
    proxies: list[FaultProxy] = []

    def make(target: str) -> FaultProxy:
        proxies.append(FaultProxy(target, Fault(hang=True)))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


def named(bucket: Bucket, keys: ModelKeys) -> set[int]:
    found = bucket.read(keys.config)
    assert found
    return set(named_versions(found[0].decode()) or ())


def test_the_claimed_version_beside_what_is_live_and_no_later_one(
    reload: Reload,
    servers: Servers,
    bucket: Bucket,
    keys: ModelKeys,
    triton: Triton,
    client: MlflowClient,
    register: Callable[[bytes], str],
) -> None:
    assert reload(triton_version=1, owner="workflow-1").triton_version == 1
    assert ready_versions(triton, keys.model) == named(bucket, keys) == {1}
    live = register(models.conv_net(1))
    registry.set_version_tags(client, keys.model, live, {"triton.version": 1})
    registry.set_alias(client, keys.model, "live", live)
    # Over HTTP, by hand, and again: it comes to the same.
    for _ in range(2):
        assert reload(triton_version=2, triton_grpc_url="").triton_version == 2
        assert ready_versions(triton, keys.model) == named(bucket, keys) == {1, 2}


def test_without_mlflow_nothing_is_touched(
    reload: Reload, bucket: Bucket, keys: ModelKeys, triton: Triton
) -> None:
    with pytest.raises(StepError, match=r"MLflow at http://127\.0\.0\.1:1 "):
        reload(triton_version=1, mlflow_tracking_uri="http://127.0.0.1:1")
    assert not triton.index(keys.model)
    assert named(bucket, keys) == set()
    assert not list(bucket.keys(keys.locks))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"triton_version": 0}, "Triton version 0 is not"),
        ({"load_timeout": 0}, "load_timeout 0 is not"),
        ({"owner": "../x"}, "owner '../x' cannot be part of a key"),
        ({"s3_prefix": "claims"}, "s3_prefix 'claims'"),
        ({"triton_url": "triton"}, "triton_url 'triton' is no address"),
        ({"triton_grpc_url": "triton"}, "triton_grpc_url 'triton' is no address"),
    ],
)
def test_wrong_input(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        reload_triton(**{"triton_version": 1, **wrong})


def test_a_server_that_hangs_is_given_up_in_time(
    reload: Reload, servers: Servers, hung: Callable[[str], FaultProxy], triton: Triton, keys: ModelKeys
) -> None:
    reload(triton_version=1)
    start = time.monotonic()
    with pytest.raises(
        StepError, match=r"no answer to .* within.*; nothing was changed: it should serve version 1$"
    ):
        reload(triton_version=2, triton_url=hung(servers.triton).url, load_timeout=3)
    assert time.monotonic() - start < 60
    assert ready_versions(triton, keys.model) == {1}
    reload(triton_version=2)


def test_grpc_that_hangs_is_passed_over(
    reload: Reload, servers: Servers, hung: Callable[[str], FaultProxy], caplog: pytest.LogCaptureFixture
) -> None:
    reload(triton_version=1, triton_grpc_url=hung(servers.triton_grpc).url)
    assert "gRPC service" in caplog.text
    assert "load over HTTP, which may delay clients" in caplog.text


@pytest.mark.parametrize("grpc", [True, False])
def test_a_load_that_takes_too_long(
    reload: Reload, servers: Servers, bucket: Bucket, keys: ModelKeys, grpc: bool
) -> None:
    triton = Triton(servers.triton, servers.triton_grpc if grpc else "")
    found = bucket.read(keys.config)
    assert found
    with pytest.raises(
        TritonTimeout, match=r"did not load .* within 0 s" if grpc else "no answer to .*/load"
    ):
        triton.load(keys.model, 0.02, load_config(found[0].decode(), [1]))
    reload(triton_version=1)  # it waits for the load that still goes on, or loads itself
