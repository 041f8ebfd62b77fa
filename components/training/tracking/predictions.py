"""Predictions of a trained network for the validation images, one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from argosy.components.training.data.batches import Batches
from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.decoded import load_images
from argosy.components.training.data.images import CachedImages, Size, StreamedImages
from argosy.components.training.data.transforms import normalise
from argosy.components.training.network.precision import Precision, choose_precision
from argosy.components.training.recipe import Recipe


@dataclass(frozen=True)
class Predictions:
    """Arrays of length N, in the order of the images.

    Attributes:
        labels: the true class indices.
        predicted: the class indices that the network prefers.
        confidence: the probability that it gives to those, 0 to 1.
        classes: how many classes there are.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    classes: int

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float((self.labels == self.predicted).mean())

    def confusion(self) -> npt.NDArray[np.int64]:
        """How often each true class (row) was taken for each class (column)."""
        pairs = self.labels * self.classes + self.predicted
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def mistakes(self) -> npt.NDArray[np.int64]:
        """Positions of the wrong answers, the most confident one first."""
        wrong = np.flatnonzero(self.labels != self.predicted)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]


def judge(
    model: nn.Module, recipe: Recipe, data: ImageFolder, size: Size
) -> tuple[Predictions, CachedImages | StreamedImages]:
    """The predictions of `model` for the validation images, and those images.

    Args:
        model: on the CPU, in evaluation mode.
        recipe: how it was trained.
        data: the data set.
        size: height and width that the network takes.
    """
    precision = choose_precision(recipe.precision, size)
    images = load_images(data, "val", size, workers=recipe.workers, in_memory=False)
    batches = Batches(images, batch_size=recipe.batch_size, device=precision.device, workers=recipe.workers)
    return predict(model, batches, precision, len(data.classes)), images


@torch.inference_mode()
def predict(model: nn.Module, batches: Batches, precision: Precision, classes: int) -> Predictions:
    """Ask `model`, which is on the CPU and goes back there, about all images of `batches`, in their order."""
    placed = precision.place(model)
    parts: list[tuple[torch.Tensor, ...]] = []
    for images, labels in batches:
        with precision.autocast():
            logits = placed(precision.arrange(normalise(images)))
        confidence, predicted = logits.double().softmax(1).max(1)
        parts.append((labels.cpu(), predicted.cpu(), confidence.cpu()))
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    labels, predicted, confidence = (torch.cat(column) for column in zip(*parts, strict=True))
    return Predictions(labels.numpy(), predicted.numpy(), confidence.numpy(), classes)
