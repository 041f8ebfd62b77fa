"""Gate 2 on real models: what passes is registered whole, what fails leaves nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from mlflow.tracking import MlflowClient
from onnx import helper, numpy_helper

from argosy.components.shared import registry
from argosy.components.shared.run_files import download
from argosy.components.training.export import load_pytorch
from argosy.components.training.validate_onnx import Validation, validate_onnx
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Model, Servers
from tests.components.training.cutting import Cut, Writes

METRICS = {
    "validation_max_diff": "max_diff",
    "validation_mean_diff": "mean_diff",
    "validation_median_diff": "median_diff",
    "validation_argmax_agreement": "argmax_agreement",
    "validation_onnx_speedup": "onnx_speedup",
}


@pytest.fixture
def damaged(small_export: str, client: MlflowClient, small: Model, tmp_path: Path) -> str:
    """An export run whose file has other weights in its last layer: NaN-free, and wrong."""
    return _export_with(small_export, client, tmp_path, lambda weights: weights * 1.01)


def _export_with(small_export: str, client: MlflowClient, folder: Path, change: Callable[[Any], Any]) -> str:
    path = download(small_export, "model.onnx", folder)
    graph = onnx.load(path)
    last = next(entry for entry in graph.graph.initializer if list(entry.dims) == [10, 72])
    weights = change(numpy_helper.to_array(last).copy())
    last.CopyFrom(numpy_helper.from_array(weights.astype(np.float32), last.name))
    onnx.save(graph, path)
    return _export_again(small_export, client, path)


def _export_again(small_export: str, client: MlflowClient, path: Path) -> str:
    """Another export run of the same model, with this file."""
    original = client.get_run(small_export)
    tags = {key: value for key, value in original.data.tags.items() if key.startswith("pytorch.")}
    run = client.create_run(original.info.experiment_id, tags=tags)
    client.log_artifact(run.info.run_id, str(path))
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


@pytest.fixture(scope="session")
def passed(small_export: str, small: Model, started: Servers) -> Validation:
    """What Gate 2 says about a real export."""
    return validate_onnx(small_export, small.name, started.mlflow)


def test_an_export_passes_and_its_numbers_are_in_its_run(
    small_export: str, small: Model, servers: Servers, client: MlflowClient
) -> None:
    passed = validate_onnx(small_export, small.name, servers.mlflow)
    assert passed.result == "passed"
    assert passed.max_diff is not None
    assert passed.mean_diff is not None
    assert passed.median_diff is not None
    assert 0 < passed.mean_diff <= passed.max_diff <= 1e-5
    assert 0 < passed.median_diff <= passed.max_diff
    assert passed.argmax_agreement == 1.0
    run = client.get_run(small_export)
    assert {name: run.data.metrics[name] for name in METRICS} == {
        name: getattr(passed, field) for name, field in METRICS.items()
    }
    assert run.data.tags["gate2.result"] == "passed"
    assert run.data.tags["gate2.real_inputs"] == str(passed.real_inputs)
    assert run.info.status == "FINISHED"


def test_the_registered_version_carries_alias_and_lineage(
    passed: Validation, small_export: str, small: Model, client: MlflowClient
) -> None:
    version = registry.version_by_alias(client, f"{small.name}-onnx", "deploy")
    assert version is not None
    assert str(version.version) == passed.onnx_model_version
    assert version.run_id == small_export
    assert version.tags["pytorch.model_name"] == small.name
    assert version.tags["pytorch.version"] == small.promotion.model_version
    assert version.tags["pytorch.run_id"] == small.trained.run_id
    assert version.tags["export.run_id"] == small_export
    assert float(version.tags["validation_max_diff"]) == passed.max_diff


def test_the_registered_file_answers_as_pytorch_does(
    passed: Validation, small: Model, tmp_path: Path
) -> None:
    uri = f"models:/{small.name}-onnx@deploy/model.onnx"
    path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    inputs = np.random.default_rng(5).standard_normal((4, 1, 8, 8), dtype=np.float32)
    network = load_pytorch(small.name, small.promotion.model_version).module
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs)).numpy()
    assert np.abs(session.run(None, {"input": inputs})[0] - expected).max() <= 1e-5


def test_run_twice_it_registers_once_and_takes_no_alias_back(
    passed: Validation, small_export: str, small: Model, servers: Servers, client: MlflowClient
) -> None:
    name = f"{small.name}-onnx"
    versions = len(client.search_model_versions(f"name='{name}'"))
    client.delete_registered_model_alias(name, "deploy")
    again = validate_onnx(small_export, small.name, servers.mlflow)
    assert again._replace(onnx_speedup=0) == passed._replace(onnx_speedup=0)
    assert registry.version_by_alias(client, name, "deploy") is None
    assert len(client.search_model_versions(f"name='{name}'")) == versions
    assert len(client.search_model_versions(f"run_id='{small_export}'")) == 1
    registry.set_alias(client, name, "deploy", passed.onnx_model_version)


def test_the_same_file_from_another_run_is_the_same_version(
    passed: Validation,
    small_export: str,
    client: MlflowClient,
    small: Model,
    servers: Servers,
    tmp_path: Path,
) -> None:
    versions = len(client.search_model_versions(f"name='{small.name}-onnx'"))
    copy = _export_again(small_export, client, download(small_export, "model.onnx", tmp_path))
    answer = validate_onnx(copy, small.name, servers.mlflow, samples=5)
    assert answer.onnx_model_version == passed.onnx_model_version
    assert len(client.search_model_versions(f"name='{small.name}-onnx'")) == versions


@pytest.mark.parametrize("allowed", range(6))
def test_cut_off_after_any_write_it_registers_one_version(
    passed: Validation,
    small_export: str,
    client: MlflowClient,
    small: Model,
    servers: Servers,
    tmp_path: Path,
    allowed: int,
) -> None:
    """Cut off before and after the model is stored, registered, tagged, and given the alias."""
    path = download(small_export, "model.onnx", tmp_path)
    graph = onnx.load(path)
    graph.doc_string = f"another file {allowed}"
    onnx.save(graph, path)
    run_id = _export_again(small_export, client, path)
    with pytest.MonkeyPatch.context() as patch:
        writes = Writes(patch, allowed)
        with pytest.raises(Cut):
            validate_onnx(run_id, small.name, servers.mlflow, samples=2)
    assert writes.done == allowed
    answer = validate_onnx(run_id, small.name, servers.mlflow, samples=2)
    (version,) = client.search_model_versions(f"run_id='{run_id}'")
    assert (answer.result, answer.onnx_model_version) == ("passed", str(version.version))
    deployed = registry.version_by_alias(client, f"{small.name}-onnx", "deploy")
    assert deployed is not None
    assert deployed.run_id == run_id
    run = client.get_run(run_id)
    assert len(run.outputs.model_outputs) == 1
    registry.set_alias(client, f"{small.name}-onnx", "deploy", passed.onnx_model_version)


def test_real_validation_inputs_are_compared_too(
    passed: Validation,
    small_export: str,
    client: MlflowClient,
    small: Model,
    servers: Servers,
    tmp_path: Path,
) -> None:
    """Large inputs make large differences: they show that the file is read and counts."""
    assert passed.real_inputs == 297
    large = np.load(small.data / "validation_inputs.npy")[:9] * np.float32(1000)
    np.save(tmp_path / "validation_inputs.npy", large)
    np.save(tmp_path / "validation_labels.npy", np.zeros(9, np.int64))
    run_id = small.trained.run_id
    client.log_artifacts(run_id, str(tmp_path))
    try:
        answer = validate_onnx(small_export, small.name, servers.mlflow, samples=5)
    finally:
        client.log_artifacts(run_id, str(small.data))
    assert answer.real_inputs == 9
    assert answer.max_diff is not None
    assert passed.max_diff is not None
    assert answer.max_diff > 2 * passed.max_diff


def test_a_file_that_was_changed_after_the_export_is_an_error(
    small_export: str, client: MlflowClient, small: Model, servers: Servers, tmp_path: Path
) -> None:
    path = download(small_export, "model.onnx", tmp_path)
    copy = _export_again(small_export, client, path)
    client.set_tag(copy, "export.sha256", "0" * 64)
    with pytest.raises(StepError, match=r"has sha256 [0-9a-f]{64}, and 0{64} was exported"):
        validate_onnx(copy, small.name, servers.mlflow)


@pytest.mark.parametrize("kind", ["garbage", "invalid", "fixed batch", "fixed inside"])
def test_a_file_that_is_no_sound_model_is_an_error(
    small_export: str, client: MlflowClient, small: Model, servers: Servers, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "model.onnx"
    message = _spoil(path, kind, download(small_export, "model.onnx", tmp_path))
    with pytest.raises(StepError, match=message):
        validate_onnx(_export_again(small_export, client, path), small.name, servers.mlflow)


def _spoil(path: Path, kind: str, original: Path) -> str:
    """Write a bad model of that kind; the error that it should cause."""
    if kind == "garbage":
        path.write_bytes(b"garbage")
        return r"model\.onnx is not a valid ONNX model"
    if kind == "fixed inside":
        onnx.save(_fixed_inside(), path)
        return "ONNX Runtime fails on a batch of 1"
    graph = onnx.load(original)
    if kind == "invalid":
        graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11
        onnx.save(graph, path)
        return r"model\.onnx is not a valid ONNX model"
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, path)
    return "one input with a free batch only"


def _fixed_inside() -> onnx.ModelProto:
    """A model that promises any batch and takes two samples."""
    nodes = [
        helper.make_node("Reshape", ["input", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["batch_size", 1, 8, 8])],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, ["batch_size", 10])],
        [
            numpy_helper.from_array(np.array([2, 64]), "shape"),
            numpy_helper.from_array(np.ones((64, 10), np.float32), "weights"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_wrong_file_fails_and_registers_nothing(
    damaged: str, passed: Validation, small: Model, servers: Servers, client: MlflowClient
) -> None:
    answer = validate_onnx(damaged, small.name, servers.mlflow)
    assert (answer.result, answer.onnx_model_version) == ("failed", "")
    assert answer.max_diff is not None
    assert answer.max_diff > 1e-5
    assert client.get_run(damaged).data.metrics["validation_max_diff"] == answer.max_diff
    assert registry.version_of_run(client, f"{small.name}-onnx", damaged) is None
    deployed = registry.version_by_alias(client, f"{small.name}-onnx", "deploy")
    assert deployed is not None
    assert deployed.run_id != damaged


def test_nan_fails(
    small_export: str, small: Model, servers: Servers, client: MlflowClient, tmp_path: Path
) -> None:
    run_id = _export_with(small_export, client, tmp_path, lambda weights: weights * np.nan)
    answer = validate_onnx(run_id, small.name, servers.mlflow)
    assert answer[:4] == ("failed", "", None, None)
    assert answer.median_diff is None
    assert registry.version_of_run(client, f"{small.name}-onnx", run_id) is None


def test_a_tolerance_below_rounding_fails(small_export: str, small: Model, servers: Servers) -> None:
    assert validate_onnx(small_export, small.name, servers.mlflow, tolerance=1e-12).result == "failed"


def test_what_cannot_be_validated_is_an_error(small_export: str, small: Model, servers: Servers) -> None:
    with pytest.raises(StepError, match=r"is no export: it lacks the tags pytorch\.model_name"):
        validate_onnx(small.trained.run_id, small.name, servers.mlflow)
    with pytest.raises(StepError, match=f"exports '{small.name}', not 'other'"):
        validate_onnx(small_export, "other", servers.mlflow)
    with pytest.raises(StepError, match="could not find run"):
        validate_onnx("0" * 32, small.name, servers.mlflow)
    with pytest.raises(UsageError, match="samples is 0"):
        validate_onnx(small_export, small.name, servers.mlflow, samples=0)


def test_a_resnet_passes_with_all_its_weights_inside(
    export_run: str, model: Model, servers: Servers, tmp_path: Path
) -> None:
    # After two epochs on a few digits its logits on noise are large, and so is their rounding.
    answer = validate_onnx(export_run, model.name, servers.mlflow, samples=50, tolerance=1e-4)
    assert answer.result == "passed"
    uri = f"models:/{model.name}-onnx@deploy/model.onnx"
    path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    assert path.stat().st_size > 40_000_000
