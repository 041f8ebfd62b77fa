"""The functional test of a served version."""

from pathlib import Path

import numpy as np
import pytest

from argosy.components.deployment import verify_deployment
from argosy.components.deployment.layout import ModelKeys
from argosy.components.deployment.onnx_model import read_signature
from argosy.components.deployment.serving import Deadline, Place, serve_exactly, sole
from argosy.components.deployment.triton_config import model_config
from argosy.components.deployment.verification import check_output, check_shape, synthetic
from argosy.components.shared import s3
from argosy.components.shared.triton import Tensor, Triton
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers

IMAGE, SCORES = [1, 3, models.SIZE, models.SIZE], [1, models.CLASSES]


def serve(servers: Servers, name: str, model: bytes, folder: Path) -> None:
    bucket, keys = s3.connect(servers.bucket), ModelKeys("models", name)
    path = folder / "model.onnx"
    path.write_bytes(model)
    bucket.write_if_absent(keys.config, model_config(name, read_signature(path)).encode())
    bucket.write_if_absent(keys.version(1) + "model.onnx", model)
    place, deadline = Place(Triton(servers.triton, servers.triton_grpc), bucket, keys), Deadline.after(60)
    with sole(place, "test", deadline) as hold:
        serve_exactly(hold, [1], deadline)


@pytest.fixture(scope="module")
def net(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> str:
    serve(servers, "verified-net", models.conv_net(), tmp_path_factory.mktemp("net"))
    return "verified-net"


def test_a_good_version_passes(servers: Servers, net: str) -> None:
    result = verify_deployment(
        triton_version=1,
        model_name=net,
        triton_url=servers.triton + "/",
        expected_input_shape=IMAGE,
        expected_output_shape=SCORES,
    )
    assert result.endpoint == f"{servers.triton}/v2/models/{net}/versions/1/infer"
    assert result.latency_ms > 0


@pytest.mark.parametrize(
    ("version", "source", "target", "message"),
    [
        (1, [1, 3, 9, 9], SCORES, r"has shape \[-1, 3, 8, 8\], expected_input_shape is \[1, 3, 9, 9\]"),
        (1, [3, 8, 8], SCORES, r"has shape \[-1, 3, 8, 8\], expected_input_shape is \[3, 8, 8\]"),
        (1, IMAGE, [1, 11], r"has shape \[1, 10\], expected_output_shape is \[1, 11\]"),
        (1, [2, 3, 8, 8], SCORES, r"has shape \[2, 10\], expected_output_shape is \[1, 10\]"),
        (1, [33, 3, 8, 8], [33, 10], r"Triton could not run version 1 .* 32"),
        (2, IMAGE, SCORES, "Triton could not describe version 2"),
    ],
)
def test_what_differs_fails(
    servers: Servers, net: str, version: int, source: list[int], target: list[int], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        verify_deployment(
            triton_version=version,
            model_name=net,
            triton_url=servers.triton,
            expected_input_shape=source,
            expected_output_shape=target,
        )


def test_answers_that_are_not_finite_fail(servers: Servers, name: str, tmp_path: Path) -> None:
    serve(servers, name, models.not_a_number(), tmp_path)
    with pytest.raises(StepError, match="4 of 4 numbers that are not finite"):
        verify_deployment(
            triton_version=1,
            model_name=name,
            triton_url=servers.triton,
            expected_input_shape=[1, 4],
            expected_output_shape=[1, 4],
        )


@pytest.mark.parametrize("shape", [[], [0], [1, -1], [1 << 20, 1 << 20]])
def test_shapes_that_no_tensor_has(shape: list[int]) -> None:
    with pytest.raises(UsageError, match=r"expected_input_shape .* is not a shape"):
        check_shape("expected_input_shape", shape)


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("FP32", np.float32), ("FP16", np.float16), ("INT64", np.int64), ("BOOL", np.bool_)],
)
def test_synthetic_input_is_the_same_each_time(datatype: str, dtype: type) -> None:
    tensor = Tensor("x", datatype, (-1, 4))
    first, second = synthetic(tensor, (2, 4)), synthetic(tensor, (2, 4))
    assert first.dtype == dtype
    assert (first == second).all()


def test_synthetic_text_is_refused() -> None:
    with pytest.raises(StepError, match="'x' is BYTES"):
        synthetic(Tensor("x", "BYTES", (-1, 4)), (2, 4))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "no output 'y'"),
        (np.zeros((1, 3), np.float32), r"\[1, 3\], expected_output_shape is \[1, 2\]"),
        (np.zeros((1, 2), np.float64), "is float64, the model declares FP32"),
        (np.array([[1, np.inf]], np.float32), "1 of 2 numbers that are not finite"),
        (np.array([[np.nan, np.nan]], np.float32), "2 of 2 numbers that are not finite"),
    ],
)
def test_bad_answers(answer: np.ndarray | None, message: str) -> None:
    with pytest.raises(StepError, match=message):
        check_output(Tensor("y", "FP32", (-1, 2)), answer, (1, 2))
