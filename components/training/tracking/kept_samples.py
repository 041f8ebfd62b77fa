"""Some validation images as the network gets them, kept in the run: Gate 2 compares on them, too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from argosy.components.training.data.images import CachedImages, StreamedImages
from argosy.components.training.data.transforms import normalise
from argosy.components.training.numerical.samples import INPUTS_FILE, LABELS_FILE
from argosy.components.training.tracking.report import pixels_at

MOST_SAMPLES = 256
MOST_BYTES = 64 * 2**20  # as float32: 111 images of 224 x 224 pixels


def write_samples(
    folder: Path, images: CachedImages | StreamedImages, labels: npt.NDArray[np.int64]
) -> list[Path]:
    """Write validation images, spread evenly over the data set, and their labels; the files' paths.

    Args:
        folder: where to.
        images: the validation images, uint8 (N, 3, height, width).
        labels: the class of each of them.
    """
    sample_bytes = 4 * math.prod(pixels_at(images, np.zeros(1, np.int64)).shape[1:])
    count = min(len(labels), MOST_SAMPLES, max(1, MOST_BYTES // sample_bytes))
    positions = np.linspace(0, len(labels) - 1, count).round().astype(np.int64)
    inputs = normalise(pixels_at(images, positions)).numpy()
    paths = [folder / INPUTS_FILE, folder / LABELS_FILE]
    for path, array in zip(paths, (inputs, labels[positions]), strict=True):
        np.save(path, array, allow_pickle=False)
    return paths
