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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import PIL
import torch
from torch import Tensor

from argosy.components.training.data.cache import cache_folder
from argosy.components.training.data.dataset import Half, ImageFolder, Skipped, Split
from argosy.components.training.data.images import Size, Unreadable, cache_bytes, decode
from argosy.components.training.data.progress import Progress
from argosy.components.training.data.windowed import in_order

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
