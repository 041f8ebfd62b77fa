"""Models of other families go through both gates and the export with nothing but a run of their own."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from mlflow.tracking import MlflowClient
from torch import nn

from argosy.components.shared import registry
from argosy.components.shared.run_files import download
from argosy.components.training.export import export_onnx
from argosy.components.training.export_to_onnx import export_to_onnx
from argosy.components.training.promote import promote
from argosy.components.training.validate_onnx import validate_onnx
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Servers

Logged = Callable[..., str]


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))


def _conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )


def _series() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(6, 8, 5), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(8, 2)
    )


def _regression() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def _segmentation() -> nn.Module:
    return nn.Conv2d(1, 2, 3, padding=1)


FAMILIES = [
    (_mlp, "1,16", ["batch_size", 3]),
    (_conv_net, "1,1,28,28", ["batch_size", 5]),
    (_regression, "1,4", ["batch_size", 1]),
]


@pytest.fixture
def logged(client: MlflowClient, name: str) -> Logged:
    """Logs a network as the train component of another family would: metric and model, nothing else."""

    def log(model: nn.Module, sample: tuple[int, ...], dtype: type = np.float32, **settings: str) -> str:
        mlflow.set_experiment(name)
        with mlflow.start_run() as run:
            mlflow.log_metric("best_val_accuracy", 0.95)
            mlflow.pytorch.log_model(
                model.eval(),
                name="model",
                input_example=np.zeros((2, *sample), dtype),
                pip_requirements=["torch"],
                **settings,
            )
        return str(run.info.run_id)

    return log


@pytest.mark.parametrize(("build", "shape", "answer"), FAMILIES)
def test_from_a_run_to_a_registered_onnx_model(
    build: Callable[[], nn.Module],
    shape: str,
    answer: list[int | str],
    logged: Logged,
    servers: Servers,
    name: str,
    client: MlflowClient,
    tmp_path: Path,
) -> None:
    torch.manual_seed(1)
    sample = tuple(int(size) for size in shape.split(",")[1:])
    promotion = promote(logged(build(), sample), name, servers.mlflow)
    assert promotion.result == "passed"
    export = export_to_onnx(promotion.model_version, name, servers.mlflow, shape).export_run_id
    assert validate_onnx(export, name, servers.mlflow).result == "passed"

    version = registry.version_by_alias(client, f"{name}-onnx", "deploy")
    assert version is not None
    path = mlflow.artifacts.download_artifacts(
        f"models:/{name}-onnx/{version.version}/model.onnx", dst_path=str(tmp_path)
    )
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch_size", *sample]
    assert session.get_outputs()[0].shape == answer
    (logits,) = session.run(None, {"input": np.zeros((7, *sample), np.float32)})
    assert logits.shape == (7, *answer[1:])


def test_without_labels_and_preparation_the_file_has_none(
    logged: Logged, servers: Servers, name: str, tmp_path: Path
) -> None:
    version = promote(logged(_mlp(), (16,)), name, servers.mlflow).model_version
    export = export_to_onnx(version, name, servers.mlflow, "1,16").export_run_id
    properties = {entry.key for entry in onnx.load(download(export, "model.onnx", tmp_path)).metadata_props}
    assert not properties & {"labels", "preprocessing"}


@pytest.mark.parametrize("shape", ["1,17", "1,16,1", "1,3,224,224"])
def test_a_shape_that_the_model_was_not_made_for_is_refused(
    logged: Logged, servers: Servers, name: str, shape: str
) -> None:
    version = promote(logged(_mlp(), (16,)), name, servers.mlflow).model_version
    with pytest.raises(UsageError, match="takes samples of shape 16, and input_shape asks for"):
        export_to_onnx(version, name, servers.mlflow, shape)


def test_a_pickled_model_is_never_loaded(logged: Logged, servers: Servers, name: str) -> None:
    version = promote(
        logged(_mlp(), (16,), serialization_format="pickle"), name, servers.mlflow
    ).model_version
    with pytest.raises(StepError, match="was stored as a pickle, which can run any code"):
        export_to_onnx(version, name, servers.mlflow, "1,16")


def test_inputs_of_another_type_are_refused(logged: Logged, servers: Servers, name: str) -> None:
    version = promote(logged(_Words(), (4,), np.int64), name, servers.mlflow).model_version
    with pytest.raises(StepError, match=r"takes int64 .*only models with one float32 input"):
        export_to_onnx(version, name, servers.mlflow, "1,4")


def test_a_program_traced_with_one_sample_is_refused(
    client: MlflowClient, servers: Servers, name: str
) -> None:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_metric("best_val_accuracy", 0.95)
        example = np.zeros((1, 16), np.float32)
        mlflow.pytorch.log_model(_mlp().eval(), name="model", input_example=example, pip_requirements=[])
    version = promote(run.info.run_id, name, servers.mlflow).model_version
    with pytest.raises(StepError, match="does not accept a batch of 2 samples of shape 16"):
        export_to_onnx(version, name, servers.mlflow, "1,16")


@pytest.mark.parametrize(
    ("build", "sample", "output"),
    [(_series, (6, 50), ["batch_size", 2]), (_segmentation, (1, 12, 12), ["batch_size", 2, 12, 12])],
)
def test_inputs_of_other_ranks(
    build: Callable[[], nn.Module], sample: tuple[int, ...], output: list[int | str], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(build().eval(), sample, path, {})
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch_size", *sample]
    assert session.get_outputs()[0].shape == output


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("_TwoAnswers", "answers with a tuple; it must answer with one tensor"),
        ("_Total", "the first dimension must be the batch"),
    ],
)
def test_answers_that_are_not_one_tensor_a_batch_are_refused(
    model: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=message):
        export_onnx(globals()[model](), (4,), tmp_path / "model.onnx", {})


class _Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 3)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Mean embedding."""
        return self.table(words).mean(dim=1)


class _TwoAnswers(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The input, and its double."""
        return x + 0, x * 2


class _Total(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One number for the whole batch."""
        return x.sum()
