"""The training step on real servers: what it leaves behind, and how it fails."""

import json
from pathlib import Path

import boto3
import mlflow
import pytest
import torch
from mlflow.tracking import MlflowClient

from argosy.components.training import fitting
from argosy.components.training.data.images import open_folder
from argosy.components.training.export import load_pytorch
from argosy.components.training.train import train
from argosy.errors import UsageError
from tests.components.training.conftest import SHAPE, Model, Servers
from tests.components.training.digits import write_digits
from tests.components.training.small import small_network


def test_every_epoch_has_its_metrics(model: Model, client: MlflowClient) -> None:
    run = client.get_run(model.trained.run_id)
    assert run.info.status == "FINISHED"
    required = ("best_val_accuracy", "val_accuracy", "val_loss", "train_loss", "epoch_time")
    for metric in (*required, "learning_rate", "images_per_second", "peak_memory_mib"):
        steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
        assert steps == [1, 2], metric
    assert run.data.metrics["best_val_accuracy"] == model.trained.best_val_accuracy
    assert model.trained.best_val_accuracy == max(
        point.value for point in client.get_metric_history(run.info.run_id, "val_accuracy")
    )


def test_recipe_and_data_are_recorded(model: Model, client: MlflowClient) -> None:
    run = client.get_run(model.trained.run_id)
    params = run.data.params
    assert params["epochs"] == "2"
    assert params["batch_size"] == "25"
    assert params["architecture"] == "resnet18"
    assert params["dataset"] == str(model.data)
    assert params["dataset_fingerprint"] == open_folder(model.data).fingerprint()
    assert params["image_size"] == "16x16"
    assert mlflow.get_experiment(run.info.experiment_id).name == model.name


def test_the_evaluation_agrees_with_the_metrics(model: Model, client: MlflowClient, tmp_path: Path) -> None:
    folder = Path(client.download_artifacts(model.trained.run_id, "evaluation", str(tmp_path)))
    rows = json.loads((folder / "per_class.json").read_text())
    right, images = (sum(row[key] for row in rows) for key in ("correct", "images"))
    assert right / images == pytest.approx(model.trained.best_val_accuracy)
    pictures = {"confusion_matrix.png", "curves.png", "misclassified.png"}
    assert pictures <= {file.name for file in folder.iterdir()}


def test_the_class_names_are_kept(model: Model, client: MlflowClient, tmp_path: Path) -> None:
    labels = client.download_artifacts(model.trained.run_id, "labels.json", str(tmp_path))
    assert json.loads(Path(labels).read_text()) == [f"digit-{n}" for n in range(10)]


def test_the_model_loads_without_pickled_code_and_takes_any_batch(model: Model, tmp_path: Path) -> None:
    version = model.promotion.model_version
    network = load_pytorch(model.name, version).module
    assert [tuple(network(torch.zeros(n, 3, 16, 16)).shape) for n in (1, 2, 5)] == [(1, 10), (2, 10), (5, 10)]
    folder = mlflow.artifacts.download_artifacts(f"models:/{model.name}/{version}", dst_path=str(tmp_path))
    assert [file.suffix for file in Path(folder, "data").rglob("model.*")] == [".pt2"]


def test_damaged_images_are_left_out_or_refused(
    servers: Servers, client: MlflowClient, name: str, tmp_path: Path
) -> None:
    write_digits(tmp_path, train=12, val=3, classes=2)
    inputs = {"dataset": str(tmp_path), "model_name": name, "mlflow_tracking_uri": servers.mlflow}
    broken = sorted((tmp_path / "train" / "digit-0").iterdir())
    broken[0].write_bytes(broken[0].read_bytes()[:60])
    run = client.get_run(train(**inputs, input_shape=SHAPE, epochs=1, batch_size=12).run_id)
    assert (run.data.params["train_images"], run.data.params["skipped_images"]) == ("23", "1")
    broken[1].write_bytes(b"")
    with pytest.raises(UsageError, match=r"2 of 30 images cannot be decoded, which is more than 5%"):
        train(**inputs, input_shape=SHAPE)
    assert len(client.search_runs([run.info.experiment_id])) == 1  # the second one was never begun


def test_from_s3(
    servers: Servers, client: MlflowClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "starting_model", small_network)
    write_digits(tmp_path, train=12, val=3)
    bucket = boto3.resource("s3").Bucket(servers.bucket)
    for file in tmp_path.rglob("*.png"):
        bucket.upload_file(str(file), f"datasets/{name}/{file.relative_to(tmp_path)}")
    done = train(
        dataset=f"s3://{servers.bucket}/datasets/{name}",
        model_name=name,
        mlflow_tracking_uri=servers.mlflow,
        input_shape=SHAPE,
        epochs=1,
        batch_size=60,
    )
    params = client.get_run(done.run_id).data.params
    assert (params["train_images"], params["val_images"], params["classes"]) == ("120", "30", "10")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"input_shape": "1,3,224"}, "input_shape '1,3,224'"),
        ({"dataset": "/no/such/folder"}, "'/no/such/folder' is not a folder"),
        ({"dataset": "gs://bucket/x"}, "neither an s3:// prefix nor a folder"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_run(
    servers: Servers, client: MlflowClient, name: str, change: dict[str, object], message: str
) -> None:
    arguments = {"dataset": "/", "model_name": name, "mlflow_tracking_uri": servers.mlflow, **change}
    with pytest.raises(UsageError, match=message):
        train(**arguments)  # type: ignore[arg-type]
    assert client.get_experiment_by_name(name) is None
