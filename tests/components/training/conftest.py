"""The real servers, and models that went through the real steps."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_digits
from torch import nn

from argosy.components.shared import registry
from argosy.components.training import fitting
from argosy.components.training.data.images import ImageFolder, open_folder
from argosy.components.training.data.many_files import VARIABLE
from argosy.components.training.export_to_onnx import export_to_onnx
from argosy.components.training.promote import Promotion, promote
from argosy.components.training.recipe import Recipe, load
from argosy.components.training.train import Trained, train
from argosy.stack import Stack
from tests.components.training.digits import write_digits
from tests.conftest import pointed_at
from tests.forking import processes

NUMBERS = itertools.count(1)
SHAPE = "1,3,16,16"


@dataclass(frozen=True)
class Servers:
    """Where the real servers are."""

    mlflow: str
    bucket: str


@dataclass(frozen=True)
class Model:
    """A model that went through training and Gate 1."""

    name: str
    data: Path
    trained: Trained
    promotion: Promotion


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Downloads and decoded images go to a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def started(shared_stack: Stack) -> Servers:
    """MLflow and S3; what is made only once stands on this, and needs no S3."""
    where = shared_stack.endpoints()
    return Servers(where.mlflow, where.s3.bucket)


@pytest.fixture(scope="package")
def servers(started: Servers, shared_stack: Stack) -> Iterator[Servers]:
    """MLflow and S3, with this process's environment pointing at the S3 server."""
    with pointed_at(shared_stack):
        yield started


@pytest.fixture
def client(servers: Servers) -> MlflowClient:
    """The registry, as the steps see it."""
    return registry.connect(servers.mlflow)


@pytest.fixture
def name() -> str:
    """A model name of the test's own."""
    return f"model-{next(NUMBERS)}"


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that train together start with PyTorch loaded, where how they start is not what is asked."""
    first = processes.Process(target=abs, args=(0,))  # the server that forks stays, from here on
    first.start()
    first.join()
    settings = fitting._settings
    monkeypatch.setattr(
        fitting, "_settings", lambda count: replace(settings(count), start_method="forkserver")
    )


@pytest.fixture
def candidate(client: MlflowClient, name: str) -> Callable[..., str]:
    """Makes a run of the test's own model with these numbers and a logged model without files; its id.

    Gate 1 registers the model and never reads it.
    """

    def make(
        value: float | None, *, metric: str = "best_val_accuracy", data: str = "", model: bool = True
    ) -> str:
        mlflow.set_experiment(name)
        with mlflow.start_run() as run:
            if value is not None:
                mlflow.log_metric(metric, value)
            if data:
                mlflow.log_param("dataset_fingerprint", data)
            if model:
                made = client.create_logged_model(run.info.experiment_id, source_run_id=run.info.run_id)
                client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
                client.log_outputs(run.info.run_id, [LoggedModelOutput(made.model_id, step=0)])
        return str(run.info.run_id)

    return make


@pytest.fixture(scope="session")
def model(started: Servers, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """ResNet18, trained for an epoch on a few digits and promoted by a gate that asks for nothing."""
    data = tmp_path_factory.mktemp("digits")
    write_digits(data, train=10, val=3)
    trained = train(
        dataset=str(data),
        model_name="digits",
        mlflow_tracking_uri=started.mlflow,
        input_shape=SHAPE,
        epochs=2,
        batch_size=25,
    )
    promotion = promote(trained.run_id, "digits", started.mlflow, min_accuracy=0.0, min_improvement=0.0)
    return Model("digits", data, trained, promotion)


@pytest.fixture(scope="session")
def export_run(model: Model, started: Servers) -> str:
    """The export run of `model`."""
    version = model.promotion.model_version
    return export_to_onnx(version, model.name, started.mlflow, SHAPE).export_run_id


def small_network() -> nn.Module:
    """A convolution, a batch norm and a linear layer: [batch, 1, 8, 8] to [batch, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    )


@pytest.fixture(scope="session")
def small(started: Servers, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small network of another family, trained on real digits; its run holds real validation samples."""
    torch.manual_seed(0)
    scans = load_digits()
    inputs = torch.tensor(scans.images / 8 - 1, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(scans.target)
    network = small_network()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs[:1500]), labels[:1500]).backward()
        optimizer.step()
    accuracy = float((network.eval()(inputs[1500:]).argmax(1) == labels[1500:]).float().mean())
    folder = tmp_path_factory.mktemp("small")
    np.save(folder / "validation_inputs.npy", inputs[1500:].numpy())
    np.save(folder / "validation_labels.npy", labels[1500:].numpy())
    registry.connect(started.mlflow)
    mlflow.set_experiment("small")
    with mlflow.start_run() as run:
        mlflow.log_metric("best_val_accuracy", accuracy)
        mlflow.log_artifacts(str(folder))
        mlflow.log_dict([str(n) for n in range(10)], "labels.json")  # type: ignore[arg-type]
        mlflow.pytorch.log_model(
            network, name="model", input_example=inputs[:2].numpy(), pip_requirements=["torch"]
        )
    trained = Trained(run.info.run_id, accuracy)
    promotion = promote(trained.run_id, "small", started.mlflow, min_accuracy=0.5)
    return Model("small", folder, trained, promotion)


@pytest.fixture(scope="session")
def small_export(small: Model, started: Servers) -> str:
    """The export run of `small`."""
    version = small.promotion.model_version
    return export_to_onnx(version, small.name, started.mlflow, "1,1,8,8").export_run_id


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    """20 scans of each digit to train on, 5 to validate."""
    root = tmp_path_factory.mktemp("digits")
    write_digits(root, train=20, val=5)
    return open_folder(root)


@pytest.fixture
def recipe() -> Recipe:
    """The shipped recipe, for one short epoch on one thread."""
    return load().override(epochs=1, batch_size=32, workers=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny valid data set that a test may damage."""
    write_digits(tmp_path, train=2, val=1, classes=3)
    return tmp_path
