"""A part of scikit-learn's digits as files, in the layout of ImageNette."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(root: Path, *, train: int, val: int, classes: int = 10) -> None:
    """Write `train` and `val` scans of each of the first `classes` digits below `root`."""
    scans = load_digits()
    for label in range(classes):
        indices = np.flatnonzero(scans.target == label)[: train + val]
        for position, index in enumerate(indices):
            split = "train" if position < train else "val"
            folder = root / split / f"digit-{label}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (scans.images[index] * 15.9375).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:04}.png")
