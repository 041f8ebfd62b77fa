"""What a training feeds on: batches of both halves, and how their images are made ready for the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from argosy.components.training.data.batches import Batch, Batches
from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import Size
from argosy.components.training.data.transforms import Augmentation, normalise, prepare, size_at
from argosy.components.training.recipe.config import Recipe


@dataclass(frozen=True)
class Feed:
    """The batches of a training; images of `train` are kept larger than `size` where crops are taken."""

    train: Batches
    val: Batches
    size: Size
    augment: Augmentation
    settling_images: int

    def training(self, epoch: int, done: int) -> Iterator[Batch]:
        """The batches of an epoch without the first `done`; for `augment`."""
        return self.train.epoch(epoch, done)

    def settling(self, epoch: int) -> Iterator[Batch]:
        """The first training batches of an epoch, as many as hold `settling_images`; for `at_rest`."""
        return islice(self.train.epoch(epoch), math.ceil(self.settling_images / self.train.batch_size))

    def at_rest(self, images: Tensor) -> Tensor:
        """Training images as an evaluation sees them, without a random change."""
        return prepare(images, self.size)

    def validation(self) -> Iterator[Batch]:
        """The batches of the validation half, in order; for `normalise`."""
        return iter(self.val)

    def as_is(self, images: Tensor) -> Tensor:
        """Validation images: they have their size already."""
        return normalise(images)


def augmentation(
    recipe: Recipe, data: ImageFolder, size: Size, generator: torch.Generator, progress: Callable[[], float]
) -> Augmentation:
    """The random changes that the recipe wants for this data set.

    Args:
        recipe: says how much.
        data: whose images are mirrored unless they are grey.
        size: height and width that the network takes.
        generator: where chance comes from.
        progress: the share of the training's steps that are done.
    """
    mirror = not data.greyscale if recipe.horizontal_flip == "auto" else recipe.horizontal_flip

    def now() -> Size:
        return size_at(size, recipe.start_size, progress())

    return Augmentation(size, recipe.crop_scale, bool(mirror), generator, now)
