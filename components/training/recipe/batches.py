"""Batches of one epoch, `(images, labels)` on the training device, from memory or from decoding workers."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from argosy.components.training.recipe.images import CachedImages, StreamedImages

log = logging.getLogger(__name__)

T = TypeVar("T")
MOST_EPOCHS = 10_007  # more than a recipe may have, so that no two pairs of seed and epoch meet


@dataclass
class Order(Sampler[list[int]]):
    """Which images make up each batch of an epoch: a permutation that seed and epoch alone decide.

    Without a seed the images come in order. `epoch` and `done`, the batches to leave out at the start, are
    set before each walk.
    """

    samples: int
    batch_size: int
    seed: int | None
    epoch: int = 1
    done: int = 0

    def __len__(self) -> int:
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (1 if rest and self.seed is None else 0)

    def __iter__(self) -> Iterator[list[int]]:
        indices = self._indices()
        for batch in range(self.done, len(self)):
            yield indices[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()

    def _indices(self) -> Tensor:
        if self.seed is None:
            return torch.arange(self.samples)
        generator = torch.Generator().manual_seed(self.seed * MOST_EPOCHS + self.epoch)
        return torch.randperm(self.samples, generator=generator)


class Batches:
    """Walks over a split, epoch by epoch: shuffled by seed and epoch, or in order.

    Images are uint8 (B, 3, height, width), labels int64 (B,). When shuffled, all batches have `batch_size`
    images, so a few images sit out each epoch; in order, the last batch is as long as it is.
    """

    def __init__(
        self,
        data: CachedImages | StreamedImages,
        *,
        batch_size: int,
        device: torch.device,
        shuffle_seed: int | None = None,
        workers: int = 1,
    ) -> None:
        self.samples = len(data)
        # A split smaller than a batch is one short batch rather than none.
        self.batch_size = min(batch_size, self.samples)
        self.device = device
        self._order = Order(self.samples, self.batch_size, shuffle_seed)
        self._data = data
        self._loader = self._workers_loader(data, workers) if isinstance(data, StreamedImages) else None

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.epoch(1)

    def epoch(self, number: int, done: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number`, counted from 1, without the first `done`.

        They are the same whenever they are asked for, so that a training that was cut off can go on.
        """
        self._order.epoch, self._order.done = number, done
        source = self._from_memory() if self._loader is None else iter(self._loader)
        for images, labels in source:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _from_memory(self) -> Iterator[tuple[Tensor, Tensor]]:
        assert isinstance(self._data, CachedImages)
        images, labels = self._data.images, self._data.labels
        for indices in self._order:
            index = torch.tensor(indices, device=images.device)
            yield images[index], labels[index]

    def _workers_loader(self, data: StreamedImages, workers: int) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(
            data,
            batch_sampler=self._order,
            # Of its own: the loader would draw from the generator that the network draws from.
            generator=torch.Generator(),
            num_workers=workers,
            persistent_workers=True,
            pin_memory=self.device.type == "cuda",
            collate_fn=_as_is,
            worker_init_fn=_leave_signals_to_the_parent,
        )


def _as_is(batch: T) -> T:
    """The data set stacks its batches itself."""
    return batch


def _leave_signals_to_the_parent(_worker: int) -> None:
    """A signal to the whole process group must not end the workers before the parent's last step."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
