"""Where a training run reports to: MLflow, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Protocol

import mlflow
import mlflow.pytorch
import numpy as np
from torch import nn

from argosy.components.shared.registry import mlflow_errors
from argosy.components.training.recipe.config import Recipe
from argosy.components.training.recipe.dataset import ImageFolder
from argosy.components.training.recipe.images import Size
from argosy.components.training.recipe.interruption import Interrupted
from argosy.components.training.recipe.resumed import epochs_of, open_run
from argosy.components.training.recipe.transforms import MEAN, STD

MODEL = "model"  # the name of the network within its run


class Tracker(Protocol):
    """What the training loop knows about tracking."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of epoch `number`, counted from 1."""


class NullTracker:
    """Records nothing."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Forget the metrics."""


class MlflowTracker:
    """Records into the active MLflow run `run_id`; what it has already, from before a restart, stays."""

    def __init__(self, run: mlflow.ActiveRun) -> None:
        self.run_id = str(run.info.run_id)
        self._params = set(run.data.params)
        self._epochs = epochs_of(self.run_id) if self._params else set()

    def params(self, params: Mapping[str, object]) -> None:
        """Log parameters of the run.

        Raises:
            StepError: MLflow failed.
        """
        with mlflow_errors(f"record the parameters of run {self.run_id}"):
            mlflow.log_params({key: value for key, value in params.items() if key not in self._params})

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log all metrics of one epoch in one request.

        Raises:
            StepError: MLflow failed.
        """
        if number in self._epochs:
            return
        with mlflow_errors(f"record epoch {number} of run {self.run_id}"):
            mlflow.log_metrics(dict(metrics), step=number)

    def data(self, dataset: str, data: ImageFolder, size: Size) -> None:
        """Log where the images come from, exactly which they are, their classes and how to prepare one.

        Raises:
            StepError: MLflow failed.
        """
        params = {
            "dataset": dataset,
            "dataset_fingerprint": data.fingerprint(),
            "train_images": len(data.train),
            "val_images": len(data.val),
            "classes": len(data.classes),
            "image_size": f"{size[0]}x{size[1]}",
        }
        preparation = {"size": list(size), "resize": "cover, then centre crop", "mean": MEAN, "std": STD}
        self.params(params)
        with mlflow_errors(f"record the data set of run {self.run_id}"):
            mlflow.log_dict(list(data.classes), "labels.json")  # type: ignore[arg-type]
            mlflow.log_dict(preparation, "preprocessing.json")

    def model(self, model: nn.Module, size: Size) -> None:
        """Log the network as the run's model, as an exported program: loading it runs no pickled code.

        `model` must be on the CPU and in evaluation mode, for it is traced as it is. The example holds two
        images: traced with one, the program would accept no other batch size.

        Raises:
            StepError: MLflow failed.
        """
        requirements = [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "numpy")]
        with mlflow_errors(f"store the model of run {self.run_id}"):
            mlflow.pytorch.log_model(
                model,
                name=MODEL,
                input_example=np.zeros((2, 3, *size), dtype=np.float32),
                pip_requirements=requirements,
            )


@contextmanager
def tracked_run(
    model_name: str, recipe: Recipe, *, training: str = "", run_id: str = ""
) -> Iterator[MlflowTracker]:
    """A run in experiment `model_name`: Finished if the block ends well, Killed by a signal, else Failed.

    It is the run `run_id`, or the one that `training` began before it was cut off; else a new one.

    Raises:
        StepError: MLflow failed.
    """
    with mlflow_errors(f"open experiment {model_name!r}"):
        mlflow.set_experiment(model_name)
    tags = {"step": "train", "model_name": model_name}
    run = open_run(f"train-{model_name}", tags, training, run_id)
    with mlflow_errors(f"close run {run.info.run_id}"), run:
        try:
            tracker = MlflowTracker(run)
            tracker.params(asdict(recipe))
            yield tracker
        except Interrupted:
            mlflow.end_run("KILLED")
            raise
