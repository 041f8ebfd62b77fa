"""Batches of one epoch, `(images, labels)` on the training device, from memory or from decoding workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from argosy.components.training.recipe.images import CachedImages, StreamedImages

log = logging.getLogger(__name__)

T = TypeVar("T")


class Batches:
    """Walks over a split once per `iter`: shuffled by a seed of its own, or in order.

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
        self._shuffle = shuffle_seed is not None
        self._generator = torch.Generator().manual_seed(shuffle_seed or 0)
        self._data = data
        self._loader = self._workers_loader(data, workers) if isinstance(data, StreamedImages) else None

    def __len__(self) -> int:
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (1 if rest and not self._shuffle else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._loader is None:
            yield from self._from_memory()
            return
        for images, labels in self._loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _from_memory(self) -> Iterator[tuple[Tensor, Tensor]]:
        assert isinstance(self._data, CachedImages)
        images, labels = self._data.images, self._data.labels
        order = torch.randperm(self.samples, generator=self._generator) if self._shuffle else None
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            if order is None:
                chosen = slice(start, start + self.batch_size)
                yield images[chosen].to(self.device), labels[chosen].to(self.device)
            else:
                index = order[start : start + self.batch_size].to(images.device)
                yield images[index].to(self.device), labels[index].to(self.device)

    def _workers_loader(self, data: StreamedImages, workers: int) -> DataLoader[tuple[Tensor, Tensor]]:
        return DataLoader(
            data,
            batch_size=self.batch_size,
            shuffle=self._shuffle,
            generator=self._generator,
            drop_last=self._shuffle,
            num_workers=workers,
            persistent_workers=True,
            pin_memory=self.device.type == "cuda",
            collate_fn=_as_is,
        )


def _as_is(batch: T) -> T:
    """The data set stacks its batches itself."""
    return batch
