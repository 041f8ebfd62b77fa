"""Gate 2 on real models: what passes is registered whole, what fails leaves nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from argosy.components.training.models import download, load_pytorch
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
def damaged(export_run: str, client: MlflowClient, model: Model, tmp_path: Path) -> str:
    """An export run whose file has other weights in its last layer: NaN-free, and wrong."""
    return _export_with(export_run, client, tmp_path, lambda weights: weights * 1.01)


def _export_with(export_run: str, client: MlflowClient, folder: Path, change: Callable[[Any], Any]) -> str:
    path = download(export_run, "model.onnx", folder)
    graph = onnx.load(path)
    last = next(entry for entry in graph.graph.initializer if list(entry.dims) == [10, 512])
    weights = change(numpy_helper.to_array(last).copy())
    last.CopyFrom(numpy_helper.from_array(weights.astype(np.float32), last.name))
    onnx.save(graph, path)
    return _export_again(export_run, client, path)


def _export_again(export_run: str, client: MlflowClient, path: Path) -> str:
    """Another export run of the same model, with this file."""
    original = client.get_run(export_run)
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
    assert passed.median_diff is not None
    assert 0 < passed.mean_diff <= passed.max_diff <= 1e-5
    assert 0 < passed.median_diff <= passed.max_diff
    assert passed.argmax_agreement == 1.0
    run = client.get_run(export_run)
    assert {name: run.data.metrics[name] for name in METRICS} == {
        name: getattr(passed, field) for name, field in METRICS.items()
    }
    assert run.data.tags["gate2.result"] == "passed"
    assert run.data.tags["gate2.real_inputs"] == str(passed.real_inputs)
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
    client.delete_registered_model_alias(name, "deploy")
    again = validate_onnx(export_run, model.name, servers.mlflow)
    assert again._replace(onnx_speedup=0) == passed._replace(onnx_speedup=0)
    assert registry.version_by_alias(client, name, "deploy") is None
    assert len(client.search_model_versions(f"name='{name}'")) == 1
    registry.set_alias(client, name, "deploy", passed.onnx_model_version)


def test_the_same_file_from_another_run_is_the_same_version(
    passed: Validation, export_run: str, client: MlflowClient, model: Model, servers: Servers, tmp_path: Path
) -> None:
    copy = _export_again(export_run, client, download(export_run, "model.onnx", tmp_path))
    answer = validate_onnx(copy, model.name, servers.mlflow, samples=5)
    assert answer.onnx_model_version == passed.onnx_model_version
    assert len(client.search_model_versions(f"name='{model.name}-onnx'")) == 1


@pytest.mark.parametrize("allowed", range(6))
def test_cut_off_after_any_write_it_registers_one_version(
    passed: Validation,
    export_run: str,
    client: MlflowClient,
    model: Model,
    servers: Servers,
    tmp_path: Path,
    allowed: int,
) -> None:
    """Cut off before and after the model is stored, registered, tagged, and given the alias."""
    path = download(export_run, "model.onnx", tmp_path)
    graph = onnx.load(path)
    graph.doc_string = f"another file {allowed}"
    onnx.save(graph, path)
    run_id = _export_again(export_run, client, path)
    with pytest.MonkeyPatch.context() as patch:
        writes = Writes(patch, allowed)
        with pytest.raises(Cut):
            validate_onnx(run_id, model.name, servers.mlflow, samples=2)
    assert writes.done == allowed
    answer = validate_onnx(run_id, model.name, servers.mlflow, samples=2)
    (version,) = client.search_model_versions(f"run_id='{run_id}'")
    assert (answer.result, answer.onnx_model_version) == ("passed", str(version.version))
    deployed = registry.version_by_alias(client, f"{model.name}-onnx", "deploy")
    assert deployed is not None
    assert deployed.run_id == run_id
    run = client.get_run(run_id)
    assert len(run.outputs.model_outputs) == 1
    registry.set_alias(client, f"{model.name}-onnx", "deploy", passed.onnx_model_version)


def test_real_validation_inputs_are_compared_too(
    passed: Validation, export_run: str, client: MlflowClient, model: Model, servers: Servers, tmp_path: Path
) -> None:
    """Large inputs make large differences: they show that the file is read and counts."""
    inputs = np.random.default_rng(1).standard_normal((9, 3, 16, 16), dtype=np.float32) * 1000
    np.save(tmp_path / "validation_inputs.npy", inputs)
    training = model.trained.run_id
    with _replaced(client, training, tmp_path / "validation_inputs.npy"):
        answer = validate_onnx(export_run, model.name, servers.mlflow, samples=5)
    assert answer.real_inputs == 9
    assert answer.max_diff is not None
    assert passed.max_diff is not None
    assert answer.max_diff > 2 * passed.max_diff


@contextmanager
def _replaced(client: MlflowClient, run_id: str, file: Path) -> Iterator[None]:
    """For a while, another file as an artifact of the run."""
    present = {entry.path for entry in client.list_artifacts(run_id)}
    before = file.parent / "before"
    before.mkdir()
    kept = download(run_id, file.name, before) if file.name in present else None
    client.log_artifact(run_id, str(file))
    try:
        yield
    finally:
        if kept is not None:
            client.log_artifact(run_id, str(kept))
        else:
            client.delete_run(run_id)  # never with the recipe's own runs
            client.restore_run(run_id)


def test_a_file_that_was_changed_after_the_export_is_an_error(
    export_run: str, client: MlflowClient, model: Model, servers: Servers, tmp_path: Path
) -> None:
    path = download(export_run, "model.onnx", tmp_path)
    copy = _export_again(export_run, client, path)
    client.set_tag(copy, "export.sha256", "0" * 64)
    with pytest.raises(StepError, match=r"has sha256 [0-9a-f]{64}, and 0{64} was exported"):
        validate_onnx(copy, model.name, servers.mlflow)


@pytest.mark.parametrize("kind", ["garbage", "invalid", "fixed batch"])
def test_a_file_that_is_no_sound_model_is_an_error(
    export_run: str, client: MlflowClient, model: Model, servers: Servers, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "model.onnx"
    message = _spoil(path, kind, download(export_run, "model.onnx", tmp_path))
    with pytest.raises(StepError, match=message):
        validate_onnx(_export_again(export_run, client, path), model.name, servers.mlflow)


def _spoil(path: Path, kind: str, original: Path) -> str:
    """Write a bad model of that kind; the error that it should cause."""
    if kind == "garbage":
        path.write_bytes(b"garbage")
        return r"model\.onnx is not a valid ONNX model"
    graph = onnx.load(original)
    if kind == "invalid":
        graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11
        onnx.save(graph, path)
        return r"model\.onnx is not a valid ONNX model"
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, path)
    return "one input with a free batch only"


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
    assert answer.median_diff is None
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
