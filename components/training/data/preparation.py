"""Everything between a folder of files and images to train on: identified, decoded once, damage told."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from argosy.components.training.data import decoded
from argosy.components.training.data.dataset import FEWEST, HALVES, Half, ImageFolder, Skipped
from argosy.components.training.data.images import CachedImages, Size, StreamedImages, Unreadable
from argosy.components.training.data.transforms import stored_size
from argosy.errors import UsageError

log = logging.getLogger(__name__)

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
    kept = decoded.ensure(data, half, size, workers)
    if kept is not None:
        return kept.skipped()
    results = decoded.decode_all(data.half(half), size, workers)
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
    kept = decoded.ensure(data, half, size, workers)
    if kept is None:
        return CachedImages.decode(split, size, workers) if in_memory else StreamedImages(split, size)
    files = frozenset(split.files)
    for one in kept.skipped():
        if one.file in files:
            raise Unreadable(one.reason)
    images = kept.images(in_memory=in_memory)
    return CachedImages(images, torch.tensor(split.labels), mapped=not in_memory)
