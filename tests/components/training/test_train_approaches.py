"""The training step's ways to train, on real servers."""

from typing import Any

import boto3
import pytest
import torch
from mlflow.tracking import MlflowClient

from argosy.components.training.network.model import build_model
from argosy.components.training.train import train
from argosy.errors import UsageError
from tests.components.training.conftest import SHAPE, Servers
from tests.components.training.digits import write_digits


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A few digits."""
    root = tmp_path_factory.mktemp("digits")
    write_digits(root, train=8, val=4)
    return str(root)


@pytest.fixture(scope="module")
def weights(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights for 1000 classes, on S3."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(build_model("resnet18", 1000).state_dict(), path)
    boto3.client("s3").upload_file(str(path), servers.bucket, "weights/big.pth")
    return f"s3://{servers.bucket}/weights/big.pth"


@pytest.mark.parametrize("approach", ["fine_tuning", "feature_extraction"])
def test_from_trained_weights_on_s3(
    servers: Servers, client: MlflowClient, name: str, data: str, weights: str, approach: str
) -> None:
    done = train(
        dataset=data,
        model_name=name,
        mlflow_tracking_uri=servers.mlflow,
        input_shape=SHAPE,
        epochs=1,
        approach=approach,
        weights=weights,
        config={"epochs": 7, "batch_size": 40, "label_smoothing": 0.05},
    )
    run = client.get_run(done.run_id)
    assert run.data.tags["approach"] == approach
    expected = {"approach": approach, "weights": weights, "label_smoothing": "0.05", "batch_size": "40"}
    assert expected.items() <= run.data.params.items()
    assert run.data.params["epochs"] == "1"  # a parameter comes before the config


@pytest.mark.usefixtures("forked")
def test_two_processes_make_one_run(servers: Servers, client: MlflowClient, name: str, data: str) -> None:
    done = train(
        dataset=data,
        model_name=name,
        mlflow_tracking_uri=servers.mlflow,
        input_shape=SHAPE,
        epochs=2,
        batch_size=20,
        config={"processes": 2},
    )
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (done.run_id, "FINISHED")
    history = client.get_metric_history(done.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2]
    assert done.best_val_accuracy == max(point.value for point in history)
    # Both halves were counted: 40 images, each of which is worth a fortieth.
    assert all((point.value * 40) % 1 == pytest.approx(0, abs=1e-6) for point in history)
    assert any(artifact.path == "evaluation" for artifact in client.list_artifacts(done.run_id))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"approach": "transfer"}, "approach is 'transfer'; it must be one of baseline"),
        ({"approach": "feature_extraction"}, "approach feature_extraction starts from trained weights"),
        ({"weights": "imagenet"}, "but approach baseline starts from random ones"),
        ({"architecture": "resnet19"}, "architecture is 'resnet19'"),
        ({"config": {"epoch": 3}}, "config: unknown key 'epoch'; did you mean 'epochs'"),
        ({"config": {"seed": "0"}}, "config: seed is '0'; it must be a whole number"),
        ({"config": {"processes": 3}, "batch_size": 64}, "3 processes share it evenly"),
    ],
)
def test_what_contradicts_itself_is_refused_and_leaves_no_run(
    servers: Servers, client: MlflowClient, name: str, data: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(dataset=data, model_name=name, mlflow_tracking_uri=servers.mlflow, **change)
    assert client.get_experiment_by_name(name) is None


def test_weights_that_do_not_fit_are_refused_before_there_is_a_run(
    servers: Servers, client: MlflowClient, name: str, data: str, weights: str
) -> None:
    with pytest.raises(UsageError, match=r"do not fit resnet34: layer1\.2\.conv1\.weight is missing"):
        train(
            dataset=data,
            model_name=name,
            mlflow_tracking_uri=servers.mlflow,
            input_shape=SHAPE,
            approach="fine_tuning",
            architecture="resnet34",
            weights=weights,
        )
    assert client.get_experiment_by_name(name) is None
