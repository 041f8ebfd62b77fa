"""The functional test of a served version, on the real servers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import verify_deployment
from argosy.components.deployment.model.artifacts import read_artifacts
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.publishing import Publication, publish
from argosy.components.deployment.repository.versions import claim_next
from argosy.components.deployment.swap.serving import bring_into_service
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.deployment.verification.checks import Expectation, Reference, compare, synthetic
from argosy.components.deployment.verify_deployment import Verified
from argosy.components.shared import registry, s3
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Tensor, Triton
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers, claim_for, prepared

IMAGE, SCORES = [1, 3, models.SIZE, models.SIZE], [1, models.CLASSES]


@dataclass(frozen=True)
class Served:
    """A model that is published as version 1, served, and registered in MLflow as version 1."""

    servers: Servers
    name: str
    keys: ModelKeys

    @classmethod
    def put(cls, servers: Servers, name: str, model: bytes, folder: Path) -> "Served":
        bucket, keys = s3.connect(servers.bucket), ModelKeys("models", name)
        claim_next(bucket, keys, claim_for(model))
        made = prepared(folder / name, name, 1, model)
        publish(Publication(bucket, keys, 1, "workflow-1"), read_artifacts(made, 1))
        deadline = Deadline.after(60)
        with sole(Place(Triton(servers.triton, servers.triton_grpc), bucket, keys), "test", deadline) as hold:
            bring_into_service(hold, 1, (), deadline)
        client = registry.connect(servers.mlflow)
        registry.ensure_model(client, name)
        client.create_model_version(name, "s3://nowhere/model", await_creation_for=0)
        return cls(servers, name, keys)

    def verify(self, **given: Any) -> Verified:
        inputs: dict[str, Any] = {
            "triton_version": 1,
            "model_name": self.name,
            "triton_url": self.servers.triton,
            "expected_input_shape": IMAGE,
            "expected_output_shape": SCORES,
            "owner": "workflow-1",
            "mlflow_tracking_uri": self.servers.mlflow,
            "s3_bucket": self.servers.bucket,
        }
        return verify_deployment(**{**inputs, **given})

    def record(self, bucket: Bucket) -> dict[str, Any]:
        body, _ = bucket.read(self.keys.record(1)) or (b"{}", "")
        found: dict[str, Any] = json.loads(body)
        return found

    def tags(self, client: MlflowClient) -> dict[str, str]:
        tags = client.get_model_version(self.name, "1").tags
        return {k.removeprefix("verification."): v for k, v in tags.items() if k.startswith("verification.")}


@pytest.fixture(scope="module")
def net(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served.put(servers, "verified-net", models.conv_net(), tmp_path_factory.mktemp("net"))


def test_a_good_version_passes_and_is_recorded(net: Served, bucket: Bucket, client: MlflowClient) -> None:
    result = net.verify(triton_url=net.servers.triton + "/")
    assert result.endpoint == f"{net.servers.triton}/v2/models/{net.name}/versions/1/infer"
    assert result.latency_ms > 0

    record = net.record(bucket)
    metadata, _ = bucket.read(net.keys.version(1) + "metadata.json") or (b"", "")
    found = record.pop("verification")
    assert record == json.loads(metadata)
    assert (found["result"], found["workflow"], found["tolerance"]) == ("passed", "workflow-1", 1e-4)
    assert 0 <= found["max_diff"] <= 1e-4
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]

    tags = net.tags(client)
    assert {key: tags[key] for key in found if key != "at"} == {
        key: str(value) for key, value in found.items() if key != "at"
    }
    assert tags["triton_version"] == "1"


FAILURES: list[tuple[dict[str, Any], str]] = [
    (
        {"expected_input_shape": [1, 3, 9, 9]},
        r"has shape \[-1, 3, 8, 8\], expected_input_shape is \[1, 3, 9, 9\]",
    ),
    (
        {"expected_input_shape": [3, 8, 8]},
        r"has shape \[-1, 3, 8, 8\], expected_input_shape is \[3, 8, 8\]",
    ),
    ({"expected_output_shape": [1, 11]}, r"has shape \[1, 10\], expected_output_shape is \[1, 11\]"),
    (
        {"expected_input_shape": [2, 3, 8, 8]},
        r"has shape \[2, 10\], expected_output_shape is \[1, 10\]",
    ),
    (
        {"expected_input_shape": [33, 3, 8, 8], "expected_output_shape": [33, 10]},
        "Triton could not run version 1 .* 32",
    ),
]


@pytest.mark.parametrize(("given", "message"), FAILURES)
def test_what_differs_fails_and_is_recorded(
    net: Served, bucket: Bucket, client: MlflowClient, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(StepError, match=message) as caught:
        net.verify(owner="workflow-2", **given)
    for found in (net.record(bucket)["verification"], net.tags(client)):
        assert (found["result"], found["workflow"]) == ("failed", "workflow-2")
        assert found["reason"] == str(caught.value)
        assert "max_diff" not in found


def test_a_version_that_is_not_published(net: Served) -> None:
    with pytest.raises(StepError, match=r"9/metadata\.json is not in bucket .*: version 9 is not published"):
        net.verify(triton_version=9)


def test_a_version_that_is_published_and_not_served(
    servers: Servers, net: Served, bucket: Bucket, client: MlflowClient, tmp_path: Path
) -> None:
    model = models.conv_net(2)
    assert claim_next(bucket, net.keys, claim_for(model, "workflow-3")) == 2
    made = prepared(tmp_path / "second", net.name, 2, model)
    publish(Publication(bucket, net.keys, 2, "workflow-3"), read_artifacts(made, 2))
    with pytest.raises(StepError, match="Triton could not describe version 2"):
        net.verify(triton_version=2)


def test_answers_that_are_not_finite_fail(servers: Servers, name: str, tmp_path: Path) -> None:
    served = Served.put(servers, name, models.not_a_number(), tmp_path)
    with pytest.raises(StepError, match="4 of 4 numbers that are not finite"):
        served.verify(expected_input_shape=[1, 4], expected_output_shape=[1, 4])


def replace_object(bucket: Bucket, key: str, body: bytes) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)


def test_a_file_that_was_changed_after_publication_fails(
    servers: Servers, name: str, bucket: Bucket, tmp_path: Path
) -> None:
    served = Served.put(servers, name, models.conv_net(1), tmp_path)
    replace_object(bucket, served.keys.version(1) + "model.onnx", models.conv_net(2))
    with pytest.raises(StepError, match=r"1/model\.onnx has sha256 .* metadata\.json says .* was changed"):
        served.verify()


def test_a_server_that_computes_otherwise_fails(
    servers: Servers, name: str, bucket: Bucket, tmp_path: Path
) -> None:
    served = Served.put(servers, name, models.conv_net(1), tmp_path)
    # Triton has loaded the first model; the repository now holds another, whole and well described.
    key, other = served.keys.version(1), prepared(tmp_path / "other", name, 1, models.conv_net(2)) / "1"
    for file in ("model.onnx", "metadata.json"):
        replace_object(bucket, key + file, (other / file).read_bytes())
    with pytest.raises(StepError, match=r"'output' differs by .* tolerance is 0\.0001"):
        served.verify()
    assert served.verify(tolerance=1e3).latency_ms > 0


@pytest.mark.parametrize(
    "blocks", [{"file_size_mb": 7.5}, {"data_files": [{"name": "../weights", "size": 1, "sha256": "0"}]}]
)
def test_metadata_that_does_not_fit(
    servers: Servers, name: str, bucket: Bucket, tmp_path: Path, blocks: dict[str, Any]
) -> None:
    served = Served.put(servers, name, models.conv_net(1), tmp_path)
    key = served.keys.version(1) + "metadata.json"
    found = json.loads((bucket.read(key) or (b"", ""))[0])
    found["model"] |= blocks
    replace_object(bucket, key, json.dumps(found).encode())
    with pytest.raises(StepError, match=r"metadata\.json says 7\.5|'\.\./weights'"):
        served.verify()


def test_mlflow_down_does_not_hide_why_it_failed(
    net: Served, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = {"mlflow_tracking_uri": "http://127.0.0.1:9"}
    with pytest.raises(StepError, match="expected_output_shape"):
        net.verify(expected_output_shape=[1, 11], **nowhere)
    assert "the failed verification is not noted: MLflow at http://127.0.0.1:9" in caplog.text
    assert net.record(bucket)["verification"]["result"] == "failed"
    with pytest.raises(StepError, match=r"MLflow at .* does not answer"):
        net.verify(**nowhere)
    registry.connect(net.servers.mlflow)


@pytest.mark.parametrize("shape", [[], [0], [1, -1], [1 << 20, 1 << 20]])
def test_shapes_that_no_tensor_has(shape: list[int]) -> None:
    for shapes in ((shape, [1]), ([1], shape)):
        with pytest.raises(UsageError, match=r"expected_(in|out)put_shape .* is not a shape"):
            Expectation(tuple(shapes[0]), tuple(shapes[1]), 1e-4)


@pytest.mark.parametrize("tolerance", [-1e-9, float("nan"), float("inf")])
def test_tolerances_that_are_none(tolerance: float) -> None:
    with pytest.raises(UsageError, match=r"tolerance .* is not a finite number"):
        Expectation((1,), (1,), tolerance)


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [("FP32", np.float32), ("FP16", np.float16), ("INT64", np.int64), ("BOOL", np.bool_)],
)
def test_synthetic_input_is_the_same_each_time(datatype: str, dtype: type) -> None:
    tensor = Tensor("x", datatype, (-1, 4))
    first, second, other = (synthetic(tensor, (2, 400), seed) for seed in (0, 0, 1))
    assert first.dtype == dtype
    assert (first == second).all()
    assert (first != other).any()


def test_synthetic_text_is_refused() -> None:
    with pytest.raises(StepError, match="'x' is BYTES"):
        synthetic(Tensor("x", "BYTES", (-1, 4)), (2, 4))


ZEROS = np.zeros((1, 2), np.float32)


@pytest.mark.parametrize(
    ("answer", "wanted", "message"),
    [
        (None, ZEROS, "the answer has no output 'y'"),
        (ZEROS, None, "the published file has no output 'y'"),
        (np.zeros((1, 2), np.float64), ZEROS, "is float64, the model declares FP32"),
        (np.array([[1, np.inf]], np.float32), ZEROS, "1 of 2 numbers that are not finite"),
        (np.array([[np.nan, np.nan]], np.float32), ZEROS, "2 of 2 numbers that are not finite"),
        (ZEROS, np.zeros((1, 3), np.float32), r"float32 \[1, 2\], ONNX Runtime answers float32 \[1, 3\]"),
        (ZEROS, np.full((1, 2), np.nan, np.float32), "differs by nan"),
        (ZEROS, np.array([[0, 2e-4]], np.float32), "differs by 0.0002 .* tolerance is 0.0001"),
    ],
)
def test_bad_answers(answer: np.ndarray | None, wanted: np.ndarray | None, message: str) -> None:
    with pytest.raises(StepError, match=message):
        compare(Tensor("y", "FP32", (-1, 2)), answer, wanted, 1e-4)


@pytest.mark.parametrize(
    ("datatype", "answer", "wanted", "difference"),
    [
        ("FP32", np.array([[1, 2]], np.float32), np.array([[1, 2.5]], np.float32), 0.5),
        ("INT64", np.array([2**40]), np.array([2**40]), 0.0),
        ("UINT8", np.array([0], np.uint8), np.array([1], np.uint8), 1.0),
        ("BOOL", np.array([True, False]), np.array([True, True]), 1.0),
        ("FP32", np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32), 0.0),
        # A scalar of ONNX's is a tensor of one element in Triton.
        ("FP32", np.zeros((1,), np.float32), np.float32(0.25).reshape(()), 0.25),
    ],
)
def test_differences(datatype: str, answer: np.ndarray, wanted: np.ndarray, difference: float) -> None:
    assert compare(Tensor("y", datatype, (-1,)), answer, wanted, 1.0) == difference


def test_the_reference_refuses_what_the_file_does_not_take(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.conv_net())
    reference = Reference(path)
    with pytest.raises(StepError, match="the served model takes image, the published file input"):
        reference.answer({"image": np.zeros(IMAGE, np.float32)})
    with pytest.raises(StepError, match="ONNX Runtime fails on the synthetic input"):
        reference.answer({"input": np.zeros((1, 4, 8, 8), np.float32)})
    path.write_bytes(b"no model")
    with pytest.raises(StepError, match=r"ONNX Runtime does not open model\.onnx"):
        Reference(path)
