"""The digits: all of them, unchanged, in a split that is the same everywhere."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from argosy.stack import dataset


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return {image.key: image.png for image in dataset.images()}


def test_every_scan_is_there_once(images: dict[str, bytes]):
    assert len(images) == 1797
    assert len({key.rsplit("/", 1)[1] for key in images}) == 1797


def test_every_class_is_split_four_to_one(images: dict[str, bytes]):
    counts = Counter(tuple(key.split("/")[:2]) for key in images)
    for label in range(10):
        train, val = counts["train", f"digit-{label}"], counts["val", f"digit-{label}"]
        assert val == (train + val) // 5
    assert len(counts) == 20


def test_pixels_and_class_are_those_of_the_scan(images: dict[str, bytes]):
    digits = load_digits()
    for key, png in images.items():
        _, class_name, file = key.split("/")
        index = int(file.removesuffix(".png"))
        image = Image.open(io.BytesIO(png))
        assert (image.mode, image.size) == ("L", (8, 8))
        assert np.array_equal(np.rint(np.asarray(image) * (16 / 255)), digits.images[index])
        assert class_name == f"digit-{digits.target[index]}"


def test_the_split_counts_within_a_class():
    assert dataset.split([7, 7, 3, 7, 7, 7, 7]) == [
        "train",
        "train",
        "train",
        "train",
        "train",
        "val",
        "train",
    ]
