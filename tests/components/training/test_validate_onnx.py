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
from onnx import numpy_helper

from argosy.components.shared import registry
from argosy.components.training.export_to_onnx import export_to_onnx
from argosy.components.training.models import download, load_pytorch
from argosy.components.training.validate_onnx import Validation, validate_onnx
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import SHAPE, Model, Servers

METRICS = ("validation_max_diff", "validation_mean_diff", "validation_onnx_speedup")


@pytest.fixture
def damaged(export_run: str, client: MlflowClient, model: Model, tmp_path: Path) -> str:
    """An export run whose file has other weights in its last layer: NaN-free, and wrong."""
    return _export_with(export_run, client, tmp_path, lambda weights: weights * 1.01)


def _export_with(export_run: str, client: MlflowClient, folder: Path, change: Callable[[Any], Any]) -> str:
    original = client.get_run(export_run)
    path = download(export_run, "model.onnx", folder)
    graph = onnx.load(path)
    last = next(entry for entry in graph.graph.initializer if list(entry.dims) == [10, 512])
    weights = change(numpy_helper.to_array(last).copy())
    last.CopyFrom(numpy_helper.from_array(weights.astype(np.float32), last.name))
    onnx.save(graph, path)
    tags = {key: value for key, value in original.data.tags.items() if key.startswith("pytorch.")}
    run = client.create_run(original.info.experiment_id, tags=tags)
    client.log_artifact(run.info.run_id, str(path))
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


@pytest.fixture(scope="package")
def passed(export_run: str, model: Model, servers: Servers) -> Validation:
    """What Gate 2 says about a real export."""
    return validate_onnx(export_run, model.name, servers.mlflow)


def test_an_export_passes_and_its_numbers_are_in_its_run(
    passed: Validation, export_run: str, client: MlflowClient
) -> None:
    assert passed.result == "passed"
    assert passed.max_diff is not None
    assert passed.mean_diff is not None
    assert 0 < passed.mean_diff <= passed.max_diff <= 1e-5
    run = client.get_run(export_run)
    assert tuple(run.data.metrics[name] for name in METRICS) == passed[2:]
    assert run.info.status == "FINISHED"


def test_the_registered_version_carries_alias_and_lineage(
    passed: Validation, export_run: str, model: Model, client: MlflowClient
) -> None:
    version = registry.version_by_alias(client, f"{model.name}-onnx", "deploy")
    assert version is not None
    assert str(version.version) == passed.onnx_model_version
    assert version.run_id == export_run
    assert version.tags["pytorch.model_name"] == model.name
    assert version.tags["pytorch.version"] == model.promotion.model_version
    assert version.tags["pytorch.run_id"] == model.trained.run_id
    assert version.tags["export.run_id"] == export_run
    assert float(version.tags["validation_max_diff"]) == passed.max_diff


def test_the_registered_file_answers_as_pytorch_does(
    passed: Validation, model: Model, tmp_path: Path
) -> None:
    uri = f"models:/{model.name}-onnx@deploy/model.onnx"
    path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    assert path.stat().st_size > 40_000_000  # the weights are inside
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    inputs = np.random.default_rng(5).standard_normal((4, 3, 16, 16), dtype=np.float32)
    network = load_pytorch(model.name, model.promotion.model_version).module
    with torch.inference_mode():
        expected = network(torch.from_numpy(inputs)).numpy()
    assert np.abs(session.run(None, {"input": inputs})[0] - expected).max() <= 1e-5


def test_run_twice_it_registers_once_and_takes_no_alias_back(
    passed: Validation, export_run: str, model: Model, servers: Servers, client: MlflowClient
) -> None:
    name = f"{model.name}-onnx"
    second_export = export_to_onnx(model.promotion.model_version, model.name, servers.mlflow, SHAPE)
    second = validate_onnx(second_export.export_run_id, model.name, servers.mlflow, samples=5)
    again = validate_onnx(export_run, model.name, servers.mlflow)
    assert again[:4] == passed[:4]
    deployed = registry.version_by_alias(client, name, "deploy")
    assert deployed is not None
    assert str(deployed.version) == second.onnx_model_version != passed.onnx_model_version
    registry.set_alias(client, name, "deploy", passed.onnx_model_version)


def test_a_wrong_file_fails_and_registers_nothing(
    damaged: str, passed: Validation, model: Model, servers: Servers, client: MlflowClient
) -> None:
    answer = validate_onnx(damaged, model.name, servers.mlflow)
    assert (answer.result, answer.onnx_model_version) == ("failed", "")
    assert answer.max_diff is not None
    assert answer.max_diff > 1e-5
    assert client.get_run(damaged).data.metrics["validation_max_diff"] == answer.max_diff
    assert registry.version_of_run(client, f"{model.name}-onnx", damaged) is None
    deployed = registry.version_by_alias(client, f"{model.name}-onnx", "deploy")
    assert deployed is not None
    assert deployed.run_id != damaged


def test_nan_fails(
    export_run: str, model: Model, servers: Servers, client: MlflowClient, tmp_path: Path
) -> None:
    run_id = _export_with(export_run, client, tmp_path, lambda weights: weights * np.nan)
    answer = validate_onnx(run_id, model.name, servers.mlflow)
    assert answer[:4] == ("failed", "", None, None)
    assert registry.version_of_run(client, f"{model.name}-onnx", run_id) is None


def test_a_tolerance_below_rounding_fails(export_run: str, model: Model, servers: Servers) -> None:
    assert validate_onnx(export_run, model.name, servers.mlflow, tolerance=1e-12).result == "failed"


def test_what_cannot_be_validated_is_an_error(export_run: str, model: Model, servers: Servers) -> None:
    with pytest.raises(StepError, match=r"is no export: it lacks the tags pytorch\.model_name"):
        validate_onnx(model.trained.run_id, model.name, servers.mlflow)
    with pytest.raises(StepError, match=f"exports '{model.name}', not 'other'"):
        validate_onnx(export_run, "other", servers.mlflow)
    with pytest.raises(StepError, match="could not find run"):
        validate_onnx("0" * 32, model.name, servers.mlflow)
    with pytest.raises(UsageError, match="samples is 0"):
        validate_onnx(export_run, model.name, servers.mlflow, samples=0)
