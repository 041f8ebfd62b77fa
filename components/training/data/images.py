"""Decode images, and hold them: all of them decoded, or decoded batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from argosy.components.training.data.dataset import Split
from argosy.components.training.data.windowed import in_order
from argosy.errors import StepError

Size = tuple[int, int]  # height, width in pixels

# A file of a few kilobytes can claim to be an image of many gigabytes. No photograph is as large as this.
MOST_PIXELS = 90_000_000


class Unreadable(StepError):
    """A file is no image that can be decoded."""


def decode(file: Path, size: Size) -> Tensor:
    """One image as RGB bytes, uint8 of shape (3, height, width): scaled to cover `size`, its centre cut out.

    It is turned as its EXIF orientation says. Of an animation the first picture counts, of 16-bit pixels the
    upper half, and transparency is dropped.

    Raises:
        Unreadable: the file is not an image, is damaged, or has more than `MOST_PIXELS`.
    """
    height, width = size
    try:
        with Image.open(file) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels are too many")
            # JPEG can be decoded at a fraction of its size for much less work.
            image.draft("RGB", (2 * max(size), 2 * max(size)))
            ImageOps.exif_transpose(image, in_place=True)
            fitted = ImageOps.fit(_rgb(image), (width, height), Image.Resampling.BILINEAR)
    except MemoryError:
        raise  # not the file's fault
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise Unreadable(f"{file} cannot be decoded: {error}") from error
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1).contiguous()


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are fractions, and nothing says from where to where they go")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        upper = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        image = Image.fromarray(upper.astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA")  # the direct way warns where the palette holds transparency
    return image.convert("RGB")


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
        """Decode a whole split into memory with `workers` threads (decoding leaves the interpreter's lock).

        Raises:
            Unreadable: a file cannot be decoded.
        """
        images = torch.empty((len(split), 3, *size), dtype=torch.uint8)
        decoded = in_order(lambda file: decode(file, size), split.files, workers)
        for index, image in enumerate(decoded):
            images[index] = image
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
