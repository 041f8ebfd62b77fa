"""Bringing versions into service, on the real Triton."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from argosy.components.deployment import serving
from argosy.components.deployment.layout import ModelKeys
from argosy.components.deployment.onnx_model import read_signature
from argosy.components.deployment.serving import Target, bring_into_service
from argosy.components.deployment.triton_config import model_config
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers

Put = Callable[..., Target]


@pytest.fixture
def put(bucket: Bucket, keys: ModelKeys, triton: Triton, tmp_path: Path) -> Put:
    """Put a version straight into the repository, whatever its bytes are."""

    def write(version: int, model: bytes | None = None) -> Target:
        path = tmp_path / "model.onnx"
        path.write_bytes(models.conv_net())
        bucket.write_if_absent(keys.config, model_config(keys.model, read_signature(path)).encode())
        bucket.write_if_absent(keys.version(version) + "model.onnx", model or models.conv_net(version))
        return Target(triton, keys.model, version)

    return write


def answers(target: Target) -> bool:
    """Whether the version answers a real request."""
    image = np.ones((1, 3, models.SIZE, models.SIZE), np.float32)
    return target.triton.infer(target.model, target.version, {"input": image})["output"].shape == (1, 10)


def test_a_new_version_is_served_beside_the_old_one_and_no_request_fails(put: Put) -> None:
    first = put(1)
    bring_into_service(first, 60)
    second, swapped, answered = put(2), threading.Event(), []

    def use() -> None:
        while not swapped.is_set():
            answered.append(answers(first))

    with ThreadPoolExecutor(1) as pool:
        user = pool.submit(use)
        try:
            bring_into_service(second, 60)
        finally:
            swapped.set()
        user.result()  # raises what a request raised
    assert answered
    assert all(answered)
    assert answers(second)
    bring_into_service(second, 60)
    assert second.served() == [1]


def test_a_garbage_version_leaves_the_old_one_serving_and_the_next_one_free(put: Put) -> None:
    first = put(1)
    bring_into_service(first, 60)
    with pytest.raises(StepError, match=r"serving: version 1\).*version 2 is at UNAVAILABLE.*onnx") as caught:
        bring_into_service(put(2, b"garbage"), 60)
    assert "\n" not in str(caught.value)
    assert answers(first)
    third = put(3)  # the policy's two latest versions are 2 and 3, and 2 cannot be loaded
    bring_into_service(third, 60)
    assert answers(third)
    assert answers(first)


def test_the_first_version_may_be_garbage_over_http_too(put: Put, servers: Servers) -> None:
    http = Triton(servers.triton)
    with pytest.raises(StepError, match="no version was serving before"):
        bring_into_service(replace(put(1, b"garbage"), triton=http), 60)
    second = replace(put(2), triton=http)
    bring_into_service(second, 60)
    assert answers(second)


def test_an_older_version_is_served_beside_the_latest(put: Put) -> None:
    targets = [put(version) for version in (1, 2, 3)]
    bring_into_service(targets[2], 60)
    assert targets[2].served() == [2]
    bring_into_service(targets[0], 60)
    assert all(answers(target) for target in targets)


def test_a_version_that_is_not_there(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_GRACE_SECONDS", 0.5)
    bring_into_service(put(1), 60)
    missing = Target(put(1).triton, put(1).model, 9)
    with pytest.raises(StepError, match="unknown to the server; does Triton read the bucket"):
        bring_into_service(missing, 60)


def test_a_model_that_is_not_there(triton: Triton) -> None:
    with pytest.raises(StepError, match=r"no version was serving before.*failed to poll"):
        bring_into_service(Target(triton, "no-such-model", 1), 60)


def test_a_config_that_does_not_fit(put: Put) -> None:
    bring_into_service(put(1), 60)
    with pytest.raises(StepError, match=r"still serving: version 1\)"):
        bring_into_service(put(2, models.conv_net(size=16)), 60)
    assert answers(put(1))


@pytest.mark.parametrize("grpc", ["", "127.0.0.1:1"])
def test_nobody_answers(servers: Servers, grpc: str) -> None:
    triton = Triton(servers.triton if grpc else "http://127.0.0.1:1", grpc)
    start = time.monotonic()
    with pytest.raises(StepError, match="does not answer"):
        bring_into_service(Target(triton, "net", 1), 2)
    assert time.monotonic() - start < 30  # bounded, though the server never comes


@pytest.mark.parametrize(
    ("url", "grpc"),
    [
        ("", ""),
        ("triton:8000", ""),
        ("ftp://triton", ""),
        ("http://", ""),
        ("http://t:8000", "http://t:8001"),
        ("http://t", "t"),
    ],
)
def test_addresses_that_are_none(url: str, grpc: str) -> None:
    with pytest.raises(UsageError, match="is no address such as"):
        Triton(url, grpc)
