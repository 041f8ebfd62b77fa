"""The export step: one whole ONNX file in a run that says where it came from."""

import json
from pathlib import Path

import mlflow
import onnx
import onnxruntime as ort
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared.files import sha256_of
from argosy.components.shared.run_files import download
from argosy.components.training.export_to_onnx import export_to_onnx
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import SHAPE, Model, Servers


@pytest.fixture
def file(export_run: str, tmp_path: Path) -> Path:
    """The exported model.onnx."""
    return download(export_run, "model.onnx", tmp_path)


def test_the_run_leads_back_to_the_version_and_its_training(
    export_run: str, model: Model, client: MlflowClient
) -> None:
    run = client.get_run(export_run)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"export-{model.name}-v{model.promotion.model_version}"
    assert run.info.experiment_id == client.get_run(model.trained.run_id).info.experiment_id
    tags = {key: value for key, value in run.data.tags.items() if key.startswith("pytorch.")}
    assert tags == {
        "pytorch.model_name": model.name,
        "pytorch.version": model.promotion.model_version,
        "pytorch.run_id": model.trained.run_id,
    }


def test_the_file_is_whole_and_leaves_the_batch_free(file: Path) -> None:
    session = ort.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (entry,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (entry.name, entry.shape) == ("input", ["batch_size", 3, 16, 16])
    assert (answer.name, answer.shape) == ("output", ["batch_size", 10])


def test_labels_and_preparation_travel_in_the_file_and_beside_it(
    file: Path, export_run: str, tmp_path: Path
) -> None:
    properties = {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}
    assert properties["labels"] == [f"digit-{n}" for n in range(10)]
    assert properties["preprocessing"]["size"] == [16, 16]
    beside = json.loads(download(export_run, "labels.json", tmp_path).read_text())
    assert beside == properties["labels"]


def test_the_file_tells_where_it_came_from(file: Path, model: Model, client: MlflowClient) -> None:
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    told = {key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}
    assert set(told) == {
        "labels",
        "preprocessing",
        "model_name",
        "model_version",
        "run_id",
        "dataset_fingerprint",
    }
    assert told["model_name"] == model.name
    assert told["model_version"] == model.promotion.model_version
    assert told["run_id"] == model.trained.run_id
    training = client.get_run(model.trained.run_id)
    assert told["dataset_fingerprint"] == training.data.params["dataset_fingerprint"]


def test_the_file_holds_no_path_of_this_machine(file: Path) -> None:
    content = file.read_bytes()
    assert b"site-packages" not in content
    assert str(Path.cwd()).encode() not in content


def test_exported_twice_it_is_one_run(export_run: str, model: Model, servers: Servers) -> None:
    again = export_to_onnx(model.promotion.model_version, model.name, servers.mlflow, SHAPE)
    assert again.export_run_id == export_run


@pytest.mark.parametrize("write", ["log_params", "log_dict", "log_artifact", "set_tag"])
def test_an_export_that_was_cut_off_is_made_again_with_the_same_bytes(
    write: str, small: Model, small_export: str, servers: Servers, client: MlflowClient, tmp_path: Path
) -> None:
    """Every write to MLflow fails in turn; the whole export of before is hidden meanwhile."""
    arguments = (small.promotion.model_version, small.name, servers.mlflow, "1,1,8,8")
    digest = client.get_run(small_export).data.tags["export.sha256"]
    client.delete_tag(small_export, "export.sha256")
    try:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(StepError, match="cut off"):
            patch.setattr(mlflow, write, _cut)
            export_to_onnx(*arguments)
        again = export_to_onnx(*arguments).export_run_id
        assert again != small_export
        assert sha256_of(download(again, "model.onnx", tmp_path)) == digest
        assert client.get_run(again).data.tags["export.sha256"] == digest
        client.delete_run(again)
    finally:
        client.set_tag(small_export, "export.sha256", digest)


def _cut(*_: object, **__: object) -> None:
    raise StepError("cut off")


def test_operator_set(file: Path) -> None:
    assert [(entry.domain, entry.version) for entry in onnx.load(file).opset_import] == [("", 18)]


def test_another_image_size_is_refused(model: Model, servers: Servers) -> None:
    with pytest.raises(UsageError, match="was trained at 16x16 pixels, and input_shape asks for 224x224"):
        export_to_onnx(model.promotion.model_version, model.name, servers.mlflow)


@pytest.mark.parametrize("version", ["999", "abc"])
def test_an_unknown_version_is_an_error(model: Model, servers: Servers, version: str) -> None:
    with pytest.raises(StepError, match=f"could not find version {version} of model '{model.name}'"):
        export_to_onnx(version, model.name, servers.mlflow, SHAPE)
