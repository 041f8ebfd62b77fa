"""Decode images: every file once, into one block of bytes, where memory allows; otherwise batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from argosy.components.training.recipe.dataset import Split
from argosy.errors import StepError

log = logging.getLogger(__name__)

Size = tuple[int, int]  # height, width in pixels


def decode(file: Path, size: Size) -> Tensor:
    """One image as RGB bytes, uint8 of shape (3, height, width): scaled to cover `size`, its centre cut out.

    Raises:
        StepError: the file is not a readable image.
    """
    height, width = size
    try:
        with Image.open(file) as image:
            # JPEG can be decoded at a fraction of its size for much less work.
            image.draft("RGB", (width * 2, height * 2))
            fitted = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise StepError(f"{file} cannot be decoded: {error}") from error
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)


class CachedImages:
    """All images of a split, decoded: `images` uint8 (N, 3, height, width), `labels` int64 (N,).

    `mapped`: the images lie on the disk, and only what is asked for comes into memory.
    """

    def __init__(self, images: Tensor, labels: Tensor, *, mapped: bool = False) -> None:
        self.images, self.labels, self.mapped = images, labels, mapped

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> CachedImages:
        """The same images in the memory of `device`."""
        return CachedImages(self.images.to(device), self.labels.to(device))

    @classmethod
    def decode(cls, split: Split, size: Size, workers: int) -> CachedImages:
        """Decode a whole split with `workers` threads (decoding leaves the interpreter's lock).

        Raises:
            StepError: a file is not a readable image.
        """
        images = torch.empty((len(split), 3, *size), dtype=torch.uint8)

        def fill(index: int) -> None:
            images[index] = decode(split.files[index], size)

        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(fill, range(len(split))):
                pass
        return cls(images, torch.tensor(split.labels))


class StreamedImages(Dataset[tuple[Tensor, Tensor]]):
    """Images decoded each time they are asked for; a worker process fetches a whole batch at once."""

    def __init__(self, split: Split, size: Size) -> None:
        self.split, self.size = split, size

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The batch of `indices`: uint8 (B, 3, height, width) and int64 (B,)."""
        images = torch.stack([decode(self.split.files[index], self.size) for index in indices])
        return images, torch.tensor([self.split.labels[index] for index in indices])

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])


def cache_bytes(split: Split, size: Size) -> int:
    """Memory that `CachedImages` of this split needs, in bytes."""
    return len(split) * 3 * size[0] * size[1]
