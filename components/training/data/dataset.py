"""A folder of the ImageNette layout, `train/<class>/*` and `val/<class>/*`, checked before training."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from argosy.components.shared.files import sha256_of
from argosy.components.training.data.many_files import in_order
from argosy.errors import UsageError

Half = Literal["train", "val"]
HALVES: tuple[Half, Half] = ("train", "val")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
# Of each class. One image alone teaches nothing about what its class has in common.
FEWEST: dict[Half, int] = {"train": 2, "val": 1}
_GREYSCALE_MODES = frozenset({"1", "L", "LA"})
_READERS = 4  # threads that read files for the fingerprint
_GROUP = 16  # files that a thread reads at a time


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
            return image.mode
    except OSError as error:  # which an unknown format is too
        raise UsageError(f"{file} cannot be read as an image: {error}") from error
