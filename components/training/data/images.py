"""The images of a data set: found in a folder, decoded all at once or batch by batch, and transformed.

The folder has the ImageNette layout, `train/<class>/*` and `val/<class>/*`, and is checked before training.
Transforms work on whole batches, on any device, before the network sees them.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from argosy.components.shared.files import sha256_of
from argosy.components.training.data.many_files import in_order
from argosy.errors import StepError, UsageError

Half = Literal["train", "val"]
HALVES: tuple[Half, Half] = ("train", "val")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
# Of each class. One image alone teaches nothing about what its class has in common.
FEWEST: dict[Half, int] = {"train": 2, "val": 1}
_GREYSCALE_MODES = frozenset({"1", "L", "LA"})
_READERS = 4  # threads that read files for the fingerprint
_GROUP = 16  # files that a thread reads at a time
Size = tuple[int, int]  # height, width in pixels
# A file of a few kilobytes can claim to be an image of many gigabytes. No photograph is as large as this.
_MOST_PIXELS = 90_000_000
# Channel means and deviations of ImageNet, for pixels from 0 to 1: what clients of such models apply.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# From this size up images are cropped at random scales; below it that would leave too few pixels.
_CROP_FROM = 64
_ASPECT = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Split:
    """Files and labels of one half of the data set; `labels[i]` is the class index of `files[i]`."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)

    def without(self, files: frozenset[Path]) -> Split:
        """The same half, less some of its files."""
        kept = [pair for pair in zip(self.files, self.labels, strict=True) if pair[0] not in files]
        return Split(tuple(file for file, _ in kept), tuple(label for _, label in kept))


@dataclass(frozen=True)
class Skipped:
    """A file that has an image's name and cannot be decoded; `reason` says why."""

    file: Path
    reason: str


@dataclass(frozen=True)
class ImageFolder:
    """A checked data set. Class indices are positions in `classes`, which is sorted by name.

    Attributes:
        root: the folder.
        classes: names of the classes.
        train, val: the images.
        ignored: how many files are there that have no image's name.
        skipped: what `preparation.prepare` left out of `train` and `val`.
        digest: the fingerprint, once it is known.
    """

    root: Path
    classes: tuple[str, ...]
    train: Split
    val: Split
    ignored: int = 0
    skipped: tuple[Skipped, ...] = ()
    digest: str = ""

    def half(self, name: Half) -> Split:
        """`train` or `val`."""
        return self.train if name == "train" else self.val

    def counts(self) -> dict[str, dict[Half, int]]:
        """How many images of each class there are in each half, by the class's name."""
        found = {half: Counter(self.half(half).labels) for half in HALVES}
        return {
            name: {half: found[half][label] for half in HALVES} for label, name in enumerate(self.classes)
        }

    @property
    def greyscale(self) -> bool:
        """Whether the images carry no colour; judged by the header of one image of each class."""
        samples = dict(zip(self.train.labels, self.train.files, strict=True))
        return all(_mode(file) in _GREYSCALE_MODES for file in samples.values())

    def fingerprint(self) -> str:
        """SHA-256 over every image's relative path and content: the same for equal data, wherever it lies.

        Images that cannot be decoded count too: it tells what the folder holds.
        """
        return self.digest or self._fingerprint()

    def identified(self) -> ImageFolder:
        """The same data set, with its fingerprint known from here on: all files are read once."""
        return replace(self, digest=self.fingerprint())

    def without(self, skipped: Sequence[Skipped]) -> ImageFolder:
        """The same data set, with the same fingerprint, less these files."""
        files = frozenset(one.file for one in skipped)
        return replace(
            self.identified(),
            train=self.train.without(files),
            val=self.val.without(files),
            skipped=(*self.skipped, *skipped),
        )

    def _fingerprint(self) -> str:
        files = (*self.train.files, *self.val.files)
        digest = hashlib.sha256()
        for file, content in zip(files, in_order(sha256_of, files, _READERS, group=_GROUP), strict=True):
            digest.update(f"{file.relative_to(self.root).as_posix()}\0".encode())
            digest.update(bytes.fromhex(content))
        return digest.hexdigest()


def open_folder(root: Path) -> ImageFolder:
    """Find the classes and images under `root`; the files themselves are not read yet.

    Raises:
        UsageError: `train` or `val` is missing, there are fewer than two classes, the halves have different
            classes, or a class has too few images.
    """
    found = {half: _classes(root, half) for half in HALVES}
    classes = sorted(found["train"])
    if len(classes) < 2:
        raise UsageError(f"data set {root}: train/ holds {len(classes)} classes, and at least two are needed")
    for half, other in (HALVES, HALVES[::-1]):
        missing = sorted(set(found[other]) - set(found[half]))
        if missing:
            raise UsageError(f"data set {root}: {half}/ lacks {', '.join(missing)}, which {other}/ has")
    train, strange_train = _split(root, "train", classes)
    val, strange_val = _split(root, "val", classes)
    return ImageFolder(root, tuple(classes), train, val, strange_train + strange_val)


def _classes(root: Path, half: Half) -> list[str]:
    folder = root / half
    if not folder.is_dir():
        raise UsageError(f"data set {root} has no folder {half}/; expected {half}/<class>/<image>")
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _split(root: Path, half: Half, classes: list[str]) -> tuple[Split, int]:
    """The images of one half, and how many other files lie among them."""
    files: list[Path] = []
    labels: list[int] = []
    others = 0
    for label, name in enumerate(classes):
        found = list(_visible_files(root / half / name))
        images = sorted(file for file in found if file.suffix.lower() in SUFFIXES)
        if len(images) < FEWEST[half]:
            raise UsageError(f"data set {root}: {half}/{name}/ holds {_too_few(len(images), half)}")
        files += images
        labels += [label] * len(images)
        others += len(found) - len(images)
    return Split(tuple(files), tuple(labels)), others


def _too_few(count: int, half: Half) -> str:
    if count == 0:
        return f"no image ({', '.join(sorted(SUFFIXES))})"
    return f"{count} image, and at least {FEWEST[half]} are needed"


def _visible_files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _mode(file: Path) -> str:
    try:
        with Image.open(file) as image:
            return str(image.mode)
    except OSError as error:  # which an unknown format is too
        raise UsageError(f"{file} cannot be read as an image: {error}") from error


class Unreadable(StepError):
    """A file is no image that can be decoded."""


def decode(file: Path, size: Size) -> Tensor:
    """One image as RGB bytes, uint8 of shape (3, height, width): scaled to cover `size`, its centre cut out.

    It is turned as its EXIF orientation says. Of an animation the first picture counts, of 16-bit pixels the
    upper half, and transparency is dropped.

    Raises:
        Unreadable: the file is not an image, is damaged, or has more than `_MOST_PIXELS`.
    """
    height, width = size
    try:
        with Image.open(file) as image:
            if image.width * image.height > _MOST_PIXELS:
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


def stored_size(size: Size) -> Size:
    """Size at which training images are kept: an eighth larger than `size` where random crops are taken."""
    if min(size) < _CROP_FROM:
        return size
    height, width = (math.ceil(side * 8 / 7) for side in size)
    return height, width


def normalise(images: Tensor) -> Tensor:
    """Bytes, or floats from 0 to 255, to float32 of about zero mean and unit deviation per channel."""
    mean, std = (on(images.device, torch.tensor(values).view(3, 1, 1) * 255) for values in (MEAN, STD))
    return images.float().sub(mean).div(std)


def on(device: torch.device, values: Tensor) -> Tensor:
    """The values on the device, without waiting for the work that it has still to do."""
    return values.to(device, non_blocking=True)


def prepare(images: Tensor, size: Size) -> Tensor:
    """Training images as an evaluation would see them: no random change, scaled to `size`, normalised."""
    return normalise(_scaled(images, size))


def size_at(size: Size, start: float, progress: float) -> Size:
    """The size of training images when `progress` (0 to 1) of all steps are done.

    It grows from `start` times `size` in eighths, so that there are few sizes, and is full in the last third.
    Small images are cheap and teach much of the same (Howard 2018, fast.ai on DAWNBench).
    """
    share = start + (1 - start) * min(1.0, progress * 3 / 2)
    eighths = max(1, round(share * 8))
    return size[0] * eighths // 8, size[1] * eighths // 8


def _scaled(images: Tensor, size: Size) -> Tensor:
    if tuple(images.shape[-2:]) == size:
        return images
    return F.interpolate(images.float(), size=size, mode="bilinear", antialias=True)


def shift(images: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Move each image by up to `reach` pixels both ways; the border is repeated. Same shape and type."""
    count, channels, height, width = images.shape

    def moved(side: int) -> Tensor:
        offsets = torch.randint(-reach, reach + 1, (count, 1), generator=generator)
        return on(images.device, (torch.arange(side) + offsets).clamp(0, side - 1))

    sample = torch.arange(count, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    return images[sample, channel, moved(height)[:, None, :, None], moved(width)[:, None, None, :]]


def resized_crop(images: Tensor, size: Size, smallest: float, generator: torch.Generator) -> Tensor:
    """Cut a random rectangle out of each image and scale it to `size`: float32, 0 to 255, otherwise as given.

    The rectangle keeps from `smallest` to all of the area, at an aspect ratio from 3:4 to 4:3 (Szegedy et al.
    2014, arXiv:1409.4842, section 6).
    """
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    area, aspect = uniform(smallest, 1.0), uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])).exp()
    width = (area * aspect).sqrt().clamp(max=1.0)
    height = (area / aspect).sqrt().clamp(max=1.0)
    theta = torch.zeros(count, 2, 3)  # output coordinates -1..1 to input coordinates -1..1
    theta[:, 0, 0], theta[:, 0, 2] = width, uniform(-1, 1) * (1 - width)
    theta[:, 1, 1], theta[:, 1, 2] = height, uniform(-1, 1) * (1 - height)
    grid = F.affine_grid(on(images.device, theta), [count, images.shape[1], *size], align_corners=False)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def mirror_half(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right with a probability of one half. Same shape and type."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(on(images.device, chosen).view(-1, 1, 1, 1), images.flip(-1), images)


@dataclass(frozen=True)
class Augmentation:
    """The random changes of training images, drawn from a generator of their own.

    `now` gives the size that is wanted at this step, up to `size`.
    """

    size: Size
    crop_scale: float
    mirror: bool
    generator: torch.Generator
    now: Callable[[], Size] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 of `stored_size` to normalised float32 (B, 3, height, width)."""
        wanted = self.now() if self.now else self.size
        if min(self.size) < _CROP_FROM:
            images = _scaled(shift(images, min(self.size) // 16, self.generator), wanted)
        else:
            images = resized_crop(images, wanted, self.crop_scale, self.generator)
        if self.mirror:
            images = mirror_half(images, self.generator)
        return normalise(images)
