"""Smaller variants on real models: what is made, what its gate decides, that it can be deployed."""

import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.fetch_model import fetch_model
from argosy.components.deployment.prepare_artifacts import prepare_artifacts
from argosy.components.shared import registry
from argosy.components.shared.run_files import RealSamples
from argosy.components.training.export_to_onnx import export_to_onnx
from argosy.components.training.promote import promote
from argosy.components.training.quantize_onnx import Quantized, quantize_onnx
from argosy.components.training.validate_onnx import Validation, validate_onnx
from argosy.components.training.validation import Difference
from argosy.components.training.variants import Judged, VariantRule, accuracy, judge
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Model, Servers
from tests.components.training.cutting import Cut, Writes

Quantize = Callable[..., Quantized]
INT8 = VariantRule("int8", 0.99, 0.01, 100, 0)


@pytest.fixture(scope="session")
def validated(small_export: str, small: Model, started: Servers) -> Validation:
    """The float model, through Gate 2."""
    return validate_onnx(small_export, small.name, started.mlflow)


@pytest.fixture
def quantize(validated: Validation, small: Model, servers: Servers) -> Quantize:
    """The component on the float model."""
    return lambda **settings: quantize_onnx(
        validated.onnx_model_version, small.name, servers.mlflow, **{"min_agreement": 0.95, **settings}
    )


def _file(name: str, version: str, folder: Path) -> Path:
    uri = f"models:/{name}/{version}/model.onnx"
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))


def test_int8_is_a_model_of_its_own_that_leads_back(
    quantize: Quantize, validated: Validation, small: Model, client: MlflowClient, tmp_path: Path
) -> None:
    answer = quantize()
    assert answer.result == "passed", answer.reason
    assert answer.real_inputs == 148  # of 297, every other one
    assert answer.argmax_agreement >= 0.95
    assert answer.accuracy_drop is not None
    assert answer.accuracy_drop <= 0.01
    name = "small-onnx-int8"
    version = registry.version_by_alias(client, name, "deploy")
    assert version is not None
    assert str(version.version) == answer.onnx_model_version
    expected = {
        "pytorch.model_name": "small",
        "pytorch.version": small.promotion.model_version,
        "pytorch.run_id": small.trained.run_id,
        "onnx.model_name": "small-onnx",
        "onnx.version": validated.onnx_model_version,
        "gate2.result": "passed",
    }
    assert expected.items() <= version.tags.items()
    graph = onnx.load(_file(name, answer.onnx_model_version, tmp_path))
    assert {node.op_type for node in graph.graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv"}
    assert [entry.domain for entry in graph.opset_import] == [""]
    told = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert told["variant"] == "int8"
    assert told["variant_of"] == f"small-onnx {validated.onnx_model_version}"
    assert told["labels"] == [str(n) for n in range(10)]


def test_fp16_takes_and_gives_float32_in_any_batch(
    quantize: Quantize, small: Model, validated: Validation, tmp_path: Path
) -> None:
    answer = quantize(variant="fp16")
    assert answer.result == "passed", answer.reason
    assert answer.real_inputs == 297
    path = _file("small-onnx-fp16", answer.onnx_model_version, tmp_path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == session.get_outputs()[0].type == "tensor(float)"
    weights = {tensor.data_type for tensor in onnx.load(path).graph.initializer if tensor.dims}
    assert onnx.TensorProto.FLOAT not in weights
    inputs = np.load(small.data / "validation_inputs.npy")
    labels = np.load(small.data / "validation_labels.npy")
    classes = session.run(None, {"input": inputs})[0].argmax(1)
    assert (classes == labels).mean() > 0.8


def test_the_deployment_takes_a_variant_as_any_other_model(quantize: Quantize, servers: Servers) -> None:
    answer = quantize()
    fetched = fetch_model("small-onnx-int8", "alias:deploy", servers.mlflow)
    assert fetched.model_version == answer.onnx_model_version
    measured = json.loads(fetched.metadata.read_text())["validation"]
    assert measured["validation_argmax_agreement"] == answer.argmax_agreement
    made = prepare_artifacts(fetched.model, fetched.metadata, 1, "small-onnx-int8").artifacts
    config = (made / "config.pbtxt").read_text()
    assert "TYPE_FP32" in config
    assert "dims: 10" in config


def test_the_same_question_gets_the_same_answer(quantize: Quantize, client: MlflowClient) -> None:
    first = quantize()
    versions = len(client.search_model_versions("name='small-onnx-int8'"))
    assert quantize() == first
    assert quantize(seed=1)._replace(onnx_speedup=0) == first._replace(onnx_speedup=0)  # the same bytes
    assert len(client.search_model_versions("name='small-onnx-int8'")) == versions == 1


@pytest.mark.parametrize("allowed", range(5))
def test_cut_off_after_any_write_it_registers_one_version(
    quantize: Quantize, client: MlflowClient, allowed: int
) -> None:
    name = "small-onnx-fp16"
    if registry.find_model(client, name) is not None:
        client.delete_registered_model(name)
    with pytest.MonkeyPatch.context() as patch:
        Writes(patch, allowed)
        with pytest.raises(Cut):
            quantize(variant="fp16", seed=100 + allowed)
    answer = quantize(variant="fp16", seed=100 + allowed)
    assert answer.result == "passed"
    assert quantize(variant="fp16", seed=100 + allowed) == answer
    (version,) = client.search_model_versions(f"name='{name}'")
    assert registry.version_by_alias(client, name, "deploy").version == version.version  # type: ignore[union-attr]


def test_a_variant_that_is_calibrated_on_other_inputs_fails_and_is_not_registered(
    quantize: Quantize, client: MlflowClient, small: Model, tmp_path: Path
) -> None:
    """Calibrated on inputs near zero, it clips those that it is judged on."""
    quantize()
    inputs = np.load(small.data / "validation_inputs.npy")
    inputs[::2] *= 1e-3
    np.save(tmp_path / "validation_inputs.npy", inputs)
    client.log_artifacts(small.trained.run_id, str(tmp_path))
    try:
        answer = quantize(seed=7)
    finally:
        client.log_artifacts(small.trained.run_id, str(small.data))
    assert (answer.result, answer.onnx_model_version) == ("failed", "")
    assert "of 148 real inputs name the same class, 0.9500 are required" in answer.reason
    assert quantize(seed=7) == answer
    assert len(client.search_model_versions("name='small-onnx-int8'")) == 1


def test_int8_without_real_inputs_is_refused_and_fp16_is_judged_on_random_ones(
    servers: Servers, client: MlflowClient, small: Model
) -> None:
    """The same network, from a run that holds no samples."""
    name = "bare"
    mlflow.set_experiment(name)
    stored = mlflow.pytorch.load_model(f"models:/{small.name}/{small.promotion.model_version}")
    with mlflow.start_run() as run:
        mlflow.log_metric("best_val_accuracy", 0.95)
        example = np.load(small.data / "validation_inputs.npy")[:2]
        mlflow.pytorch.log_model(stored, name="model", input_example=example, pip_requirements=["torch"])
    version = promote(run.info.run_id, name, servers.mlflow).model_version
    export = export_to_onnx(version, name, servers.mlflow, "1,1,8,8").export_run_id
    onnx_version = validate_onnx(export, name, servers.mlflow).onnx_model_version
    with pytest.raises(StepError, match=r"holds no validation_inputs\.npy: int8 needs real inputs"):
        quantize_onnx(onnx_version, name, servers.mlflow)
    answer = quantize_onnx(onnx_version, name, servers.mlflow, variant="fp16", min_agreement=0.9, samples=64)
    assert (answer.result, answer.real_inputs, answer.accuracy_drop) == ("passed", 0, None)
    assert "random inputs" in answer.reason


def test_only_what_passed_gate_2_is_made_smaller(
    validated: Validation, small: Model, servers: Servers, client: MlflowClient
) -> None:
    version = registry.get_version(client, "small-onnx", validated.onnx_model_version)
    made = client.create_model_version(
        "small-onnx", version.source, run_id=version.run_id, model_id=version.source.removeprefix("models:/")
    )
    with pytest.raises(StepError, match="did not pass Gate 2"):
        quantize_onnx(str(made.version), small.name, servers.mlflow)
    client.delete_model_version("small-onnx", str(made.version))
    with pytest.raises(StepError, match="could not find version 999"):
        quantize_onnx("999", small.name, servers.mlflow)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "int4"}, "variant is 'int4'; it must be int8 or fp16"),
        ({"min_agreement": 1.1}, "min_agreement is 1.1; it must be from 0 to 1"),
        ({"max_accuracy_drop": float("nan")}, "max_accuracy_drop is nan"),
        ({"samples": 0}, "samples is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VariantRule(**{**vars(INT8), **settings})  # type: ignore[arg-type]


def _judged(agreement: float, drop: float | None, largest: float = 0.1) -> Judged:
    return Judged(Difference(largest, 0.0, 0.0, agreement, 100), drop, "100 real inputs")


@pytest.mark.parametrize(
    ("judged", "result", "reason"),
    [
        (_judged(0.99, 0.01), "passed", "accuracy drops by 0.0100"),
        (_judged(1.0, -0.02), "passed", "accuracy drops by -0.0200"),
        (_judged(0.99, None), "passed", "without labels"),
        (_judged(0.9899, 0.0), "failed", "0.9900 are required"),
        (_judged(0.995, 0.0101), "failed", "0.0100 is allowed"),
        (_judged(1.0, 0.9 - 0.89), "passed", "drops by 0.0100"),  # a hair more than 0.01 in binary
        (_judged(1.0, 0.0, float("nan")), "failed", "not a finite number"),
        (_judged(1.0, 0.0, float("inf")), "failed", "not a finite number"),
    ],
)
def test_the_gate(judged: Judged, result: str, reason: str) -> None:
    assert judged.result(INT8)[0] == result
    assert reason in judged.result(INT8)[1]


def test_accuracy_is_the_share_of_right_classes() -> None:
    inputs = np.eye(4, dtype=np.float32)
    assert accuracy(lambda x: x, inputs, np.array([0, 1, 2, 0])) == 0.75


def test_models_without_classes_cannot_be_judged() -> None:
    real = RealSamples(np.zeros((3, 1), np.float32), None)
    with pytest.raises(StepError, match="single output"):
        judge(lambda x: x, lambda x: x, real, list)
