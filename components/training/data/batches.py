"""Batches of one epoch, `(images, labels)` on the training device, from memory or from decoding workers."""

from __future__ import annotations

import logging
import math
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from argosy.components.training.data.decoded import load_images, stored_sizes
from argosy.components.training.data.images import (
    Augmentation,
    CachedImages,
    Half,
    ImageFolder,
    Size,
    StreamedImages,
    cache_bytes,
    normalise,
    on,
    prepare,
    size_at,
)
from argosy.components.training.recipe import Recipe

T = TypeVar("T")
Batch = tuple[Tensor, Tensor]
AHEAD = 2  # batches that are gathered while the device computes
MOST_EPOCHS = 10_007  # more than a recipe may have, so that no two pairs of seed and epoch meet


@dataclass
class Order(Sampler[list[int]]):
    """Which images make up each batch of an epoch: a permutation that seed and epoch alone decide.

    Without a seed the images come in order. `epoch` and `done`, the batches to leave out at the start, are
    set before each walk. Of each batch this process takes its `share`: which of how many.
    """

    samples: int
    batch_size: int
    seed: int | None
    epoch: int = 1
    done: int = 0
    share: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (1 if rest and self.seed is None else 0)

    def __iter__(self) -> Iterator[list[int]]:
        indices = self._indices()
        for batch in range(self.done, len(self)):
            whole = indices[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield whole[self.share[0] :: self.share[1]].tolist()

    def _indices(self) -> Tensor:
        if self.seed is None:
            return torch.arange(self.samples)
        generator = torch.Generator().manual_seed(self.seed * MOST_EPOCHS + self.epoch)
        return torch.randperm(self.samples, generator=generator)


class Batches:
    """Walks over a split, epoch by epoch: shuffled by seed and epoch, or in order.

    Images are uint8 (B, 3, height, width), labels int64 (B,). When shuffled, all batches have `batch_size`
    images, so a few images sit out each epoch; in order, the last batch is as long as it is. Processes that
    train together each take a `share` of every batch, which of how many; of a short one it may be empty.
    """

    def __init__(
        self,
        data: CachedImages | StreamedImages,
        *,
        batch_size: int,
        device: torch.device,
        shuffle_seed: int | None = None,
        workers: int = 1,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.samples = len(data)
        # A split smaller than a batch is one short batch rather than none.
        self.batch_size = min(batch_size, self.samples)
        self.device = device
        self._order = Order(self.samples, self.batch_size, shuffle_seed, share=share)
        self._data = data
        self._loader = self._workers_loader(data, workers) if isinstance(data, StreamedImages) else None

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Batch]:
        return self.epoch(1)

    def epoch(self, number: int, done: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 1, without the first `done`.

        They are the same whenever they are asked for, so that a training that was cut off can go on.
        """
        self._order.epoch, self._order.done = number, done
        source = self._from_memory() if self._loader is None else iter(self._loader)
        for images, labels in source:
            # From pinned memory the copy goes on while the CPU prepares the next step.
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _from_memory(self) -> Iterator[Batch]:
        assert isinstance(self._data, CachedImages)
        # In the memory of the device itself they are there at once; from a disk or to a GPU it takes time.
        if self._data.mapped or self._data.images.device.type != self.device.type:
            return self._gathered_ahead()
        return map(self._gather, self._order)

    def _gather(self, indices: list[int]) -> Batch:
        assert isinstance(self._data, CachedImages)
        images, labels = _picked(self._data.images, indices), _picked(self._data.labels, indices)
        if self.device.type == "cuda" and not images.is_cuda:
            return images.pin_memory(), labels.pin_memory()
        return images, labels

    def _gathered_ahead(self) -> Iterator[Batch]:
        """The same batches; a thread gathers the next ones meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            pending: deque[Future[Batch]] = deque()
            for indices in self._order:
                pending.append(pool.submit(self._gather, indices))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _workers_loader(self, data: StreamedImages, workers: int) -> DataLoader[Batch]:
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


def _picked(entries: Tensor, indices: list[int]) -> Tensor:
    """Some entries, in a new tensor.

    On the CPU NumPy copies them: PyTorch would bring in a second team of threads, beside the network's.
    """
    if entries.device.type != "cpu":
        return entries[on(entries.device, torch.tensor(indices))]
    return torch.from_numpy(entries.numpy()[indices])


def _as_is(batch: T) -> T:
    """The data set stacks its batches itself."""
    return batch


def _leave_signals_to_the_parent(_worker: int) -> None:
    """A signal to the whole process group must not end the workers before the parent's last step."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


log = logging.getLogger(__name__)


def load_batches(
    recipe: Recipe, data: ImageFolder, size: Size, device: torch.device, share: tuple[int, int] = (0, 1)
) -> tuple[Batches, Batches]:
    """Training batches, shuffled and large enough for random crops, and validation batches in order.

    Of each batch this process takes its `share`: which of how many.
    """
    sizes = stored_sizes(size)
    needed = sum(cache_bytes(data.half(half), sizes[half]) for half in sizes)
    in_memory = needed <= recipe.cache_gib * 2**30
    where = "in memory" if in_memory else "on the disk"
    log.info("decoded images take %.2f GiB and are kept %s", needed / 2**30, where)

    def source(half: Half) -> CachedImages | StreamedImages:
        images = load_images(data, half, sizes[half], workers=recipe.workers, in_memory=in_memory)
        if isinstance(images, StreamedImages):
            log.warning("images of %s/ are decoded in every epoch", half)
            return images
        return images.to(device) if _fits_on(device, needed) else images

    def batches(half: Half, seed: int | None) -> Batches:
        return Batches(
            source(half),
            batch_size=recipe.batch_size,
            device=device,
            shuffle_seed=seed,
            workers=recipe.workers,
            share=share,
        )

    return batches("train", recipe.seed), batches("val", None)


def _fits_on(device: torch.device, needed: int) -> bool:
    """Whether the cache may live on the GPU: it leaves three quarters of its memory to the network."""
    return device.type == "cuda" and needed * 4 <= torch.cuda.get_device_properties(device).total_memory


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
