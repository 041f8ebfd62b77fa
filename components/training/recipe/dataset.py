"""A folder of the ImageNette layout, `train/<class>/*` and `val/<class>/*`, checked before training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from argosy.errors import UsageError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_GREYSCALE_MODES = frozenset({"1", "L", "LA"})


@dataclass(frozen=True)
class Split:
    """Files and labels of one half of the data set; `labels[i]` is the class index of `files[i]`."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class ImageFolder:
    """A checked data set. Class indices are positions in `classes`, which is sorted by name."""

    root: Path
    classes: tuple[str, ...]
    train: Split
    val: Split

    @property
    def greyscale(self) -> bool:
        """Whether the images carry no colour; judged by the header of one image of each class."""
        samples = dict(zip(self.train.labels, self.train.files, strict=True))
        return all(_mode(file) in _GREYSCALE_MODES for file in samples.values())

    def fingerprint(self) -> str:
        """SHA-256 over every file's relative path and content: the same for equal data, wherever it lies."""
        digest = hashlib.sha256()
        for file in (*self.train.files, *self.val.files):
            digest.update(f"{file.relative_to(self.root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()


def open_folder(root: Path) -> ImageFolder:
    """Find the classes and images under `root`.

    Raises:
        UsageError: `train` or `val` is missing, there are fewer than two classes, the halves have different
            classes, or a class has no images.
    """
    found = {split: _classes(root, split) for split in ("train", "val")}
    classes = sorted(found["train"])
    if len(classes) < 2:
        raise UsageError(f"data set {root}: train/ holds {len(classes)} classes, and at least two are needed")
    for split, other in (("val", "train"), ("train", "val")):
        missing = sorted(set(found[other]) - set(found[split]))
        if missing:
            raise UsageError(f"data set {root}: {split}/ lacks {', '.join(missing)}, which {other}/ has")
    return ImageFolder(root, tuple(classes), _split(root, "train", classes), _split(root, "val", classes))


def _classes(root: Path, split: str) -> list[str]:
    folder = root / split
    if not folder.is_dir():
        raise UsageError(f"data set {root} has no folder {split}/; expected {split}/<class>/<image>")
    return [entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _split(root: Path, split: str, classes: list[str]) -> Split:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        images = sorted(_images(root / split / name))
        if not images:
            known = ", ".join(sorted(SUFFIXES))
            raise UsageError(f"data set {root}: {split}/{name}/ holds no image ({known})")
        files += images
        labels += [label] * len(images)
    return Split(tuple(files), tuple(labels))


def _images(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def _mode(file: Path) -> str:
    try:
        with Image.open(file) as image:
            return image.mode
    except (OSError, UnidentifiedImageError) as error:
        raise UsageError(f"{file} cannot be read as an image: {error}") from error
