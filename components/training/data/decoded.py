"""Decoded images on the disk, so that each file is decoded once and not again in every epoch, run and retry.

A half at one size is a folder named after the data set's fingerprint. In it, `images.npy` holds the images
that could be decoded, uint8 (N, 3, height, width) in the order of the files, and `skipped.json` names the
others. The folder is made beside its place and then renamed, so one that has its name is whole.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import PIL
import torch
from torch import Tensor

from argosy.components.training.data.images import (
    FEWEST,
    HALVES,
    CachedImages,
    Half,
    ImageFolder,
    Size,
    Skipped,
    Split,
    StreamedImages,
    Unreadable,
    cache_bytes,
    decode,
    stored_size,
)
from argosy.components.training.data.many_files import Progress, cache_folder, in_order
from argosy.errors import UsageError

log = logging.getLogger(__name__)

FORMAT = 1  # raise it when `images.decode` gives other pixels than before
RESERVE = 64 << 20  # bytes of the disk that stay free
DAY = 24 * 3600.0
_IMAGES, _SKIPPED, _PARTIAL = "images.npy", "skipped.json", ".partial-"
_GROUP = 8  # images for a thread at a time: small ones take less time than telling it to


@dataclass(frozen=True)
class Decoded:
    """One decoded half on the disk; paths in it are relative to the data set's `root`."""

    folder: Path
    root: Path

    def images(self, *, in_memory: bool) -> Tensor:
        """The images, uint8 (N, 3, height, width): read as a whole, or mapped and read when used."""
        # Mapped privately: nobody writes to it, but PyTorch warns of arrays that it could not write to.
        return torch.from_numpy(np.load(self.folder / _IMAGES, mmap_mode=None if in_memory else "c"))

    def skipped(self) -> tuple[Skipped, ...]:
        """The files that could not be decoded."""
        entries = json.loads((self.folder / _SKIPPED).read_text(encoding="utf-8"))
        return tuple(Skipped(self.root / path, reason) for path, reason in entries)

    def fits(self, data: ImageFolder, half: Half, size: Size) -> bool:
        """Whether it holds what it should, as far as lengths tell."""
        try:
            skipped = {one.file for one in self.skipped()}
            wanted = sum(file not in skipped for file in data.half(half).files)
            return self.images(in_memory=False).shape == (wanted, 3, *size)
        except (OSError, EOFError, ValueError, TypeError):
            return False


def ensure(data: ImageFolder, half: Half, size: Size, workers: int) -> Decoded | None:
    """The decoded half of a data set, decoded now unless it was before; None where the disk has no room."""
    place = cache_folder("decoded") / (
        f"{data.fingerprint()[:32]}-{half}-{size[0]}x{size[1]}-{FORMAT}-pillow{PIL.__version__}"
    )
    kept, existed = Decoded(place, data.root), place.exists()
    if kept.fits(data, half, size):
        return kept
    try:
        if existed:
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place.parent)
        if shutil.disk_usage(place.parent).free < cache_bytes(data.half(half), size) + RESERVE:
            log.warning("%s has no room for the decoded images of %s/", place.parent, half)
            return None
        _write(place, data, half, size, workers)
    except OSError as error:
        log.warning("decoded images cannot be kept in %s: %s", place.parent, error)
        return None
    return kept


def _write(place: Path, data: ImageFolder, half: Half, size: Size, workers: int) -> None:
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=_PARTIAL) as scratch:
        beside = Path(scratch) / "decoded"
        beside.mkdir()
        found = _decode_into(beside / _IMAGES, data.half(half), size, workers)
        before = [one for one in data.skipped if one.file.is_relative_to(data.root / half)]
        entries = [[one.file.relative_to(data.root).as_posix(), one.reason] for one in (*before, *found)]
        (beside / _SKIPPED).write_text(json.dumps(entries), encoding="utf-8")
        try:
            beside.rename(place)
        except OSError:
            # Another process may have decoded the same meanwhile.
            if not Decoded(place, data.root).fits(data, half, size):
                raise


def _decode_into(path: Path, split: Split, size: Size, workers: int) -> list[Skipped]:
    """Write the array of all images that can be decoded; the files that cannot."""
    skipped: list[Skipped] = []
    written = 0
    with path.open("w+b") as stream:
        start = _write_header(stream, len(split), size)
        for result in decode_all(split, size, workers):
            if isinstance(result, Skipped):
                skipped.append(result)
            else:
                stream.write(result.numpy().data)
                written += 1
        stream.seek(0)
        # NumPy leaves room in the header for any number of rows.
        if _write_header(stream, written, size) != start:
            raise OSError(f"the header of {path} changed its length")
    return skipped


def _write_header(stream: IO[bytes], count: int, size: Size) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, *size)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.tell()


def decode_all(split: Split, size: Size, workers: int) -> Iterator[Tensor | Skipped]:
    """Every image of a split in order: decoded by `workers` threads, or why it cannot be."""

    def attempt(file: Path) -> Tensor | Skipped:
        try:
            return decode(file, size)
        except Unreadable as error:
            return Skipped(file, str(error))

    progress = Progress("decoded", len(split), cache_bytes(split, size))
    each = 3 * size[0] * size[1]
    for result in in_order(attempt, split.files, workers, group=_GROUP):
        progress.add(each, each)
        yield result


def _sweep(folder: Path) -> None:
    """Remove what was left a day ago or earlier by processes that were killed while they decoded."""
    for left in folder.glob(f"{_PARTIAL}*"):
        if left.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(left, ignore_errors=True)


MOST_SKIPPED = 0.05  # share of all images that may be damaged
_NAMED = 5  # how many of them the log names


def stored_sizes(size: Size) -> dict[Half, Size]:
    """The sizes at which both halves are kept for a network that takes `size` (height, width)."""
    return {"train": stored_size(size), "val": size}


def prepare(data: ImageFolder, size: Size, workers: int) -> ImageFolder:
    """The data set without the images that cannot be decoded, with its fingerprint, its images decoded.

    Args:
        data: from `open_folder`.
        size: height and width in pixels that the network takes.
        workers: threads that decode.

    Raises:
        UsageError: more than `MOST_SKIPPED` of the images cannot be decoded, or a class has too few left.
    """
    data = data.identified()
    skipped = [
        one for half, stored in stored_sizes(size).items() for one in _damaged(data, half, stored, workers)
    ]
    rest = data.without(skipped)
    if skipped:
        _check(data, rest, skipped)
        log.warning("%s", _story(data, skipped))
    if data.ignored:
        log.info("%d files of %s have no image's name and are ignored", data.ignored, data.root)
    return rest


def _damaged(data: ImageFolder, half: Half, size: Size, workers: int) -> tuple[Skipped, ...]:
    kept = ensure(data, half, size, workers)
    if kept is not None:
        return kept.skipped()
    results = decode_all(data.half(half), size, workers)
    return tuple(result for result in results if isinstance(result, Skipped))


def _check(data: ImageFolder, rest: ImageFolder, skipped: Sequence[Skipped]) -> None:
    for name, counts in rest.counts().items():
        for half in HALVES:
            if counts[half] < FEWEST[half]:
                folder = data.root / half / name
                first = next(one.reason for one in skipped if one.file.is_relative_to(folder))
                raise UsageError(
                    f"data set {data.root}: {half}/{name}/ holds {counts[half]} images that can be decoded, "
                    f"and at least {FEWEST[half]} are needed; {first}"
                )
    total = len(data.train) + len(data.val)
    if len(skipped) > MOST_SKIPPED * total:
        raise UsageError(
            f"data set {data.root}: {len(skipped)} of {total} images cannot be decoded, which is more than "
            f"{MOST_SKIPPED:.0%}; the first: {skipped[0].reason}"
        )


def _story(data: ImageFolder, skipped: Sequence[Skipped]) -> str:
    names = ", ".join(one.file.relative_to(data.root).as_posix() for one in skipped[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    return f"{len(skipped)} images cannot be decoded and are left out: {names}{more}"


def load_images(
    data: ImageFolder, half: Half, size: Size, *, workers: int, in_memory: bool
) -> CachedImages | StreamedImages:
    """The images of one half at `size`: in memory, mapped from the disk, or else decoded when asked for.

    Args:
        data: from `prepare`, or a folder without damaged images.
        half: which half.
        size: height and width in pixels.
        workers: threads that decode, if they were not decoded before.
        in_memory: whether there is memory for all of them.

    Raises:
        Unreadable: an image cannot be decoded; `prepare` would have left it out.
    """
    split = data.half(half)
    kept = ensure(data, half, size, workers)
    if kept is None:
        return CachedImages.decode(split, size, workers) if in_memory else StreamedImages(split, size)
    files = frozenset(split.files)
    for one in kept.skipped():
        if one.file in files:
            raise Unreadable(one.reason)
    images = kept.images(in_memory=in_memory)
    return CachedImages(images, torch.tensor(split.labels), mapped=not in_memory)
