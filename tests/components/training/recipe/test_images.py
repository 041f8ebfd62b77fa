"""Decoding: any picture becomes RGB bytes of the wanted size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from argosy.components.training.recipe.dataset import ImageFolder, Split
from argosy.components.training.recipe.images import CachedImages, StreamedImages, cache_bytes, decode
from argosy.errors import StepError


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    path = tmp_path / f"picture.{suffix}"
    Image.new(mode, (40, 30)).save(path)
    image = decode(path, (16, 24))
    assert image.shape == (3, 16, 24)
    assert image.dtype is torch.uint8


def test_a_grey_picture_has_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "ramp.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    image = decode(path, (8, 8))
    assert torch.equal(image[0], torch.arange(64, dtype=torch.uint8).reshape(8, 8))
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])


def test_a_wide_picture_loses_its_sides_and_not_its_proportions(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    path = tmp_path / "wide.png"
    Image.fromarray(pixels).save(path)
    assert decode(path, (10, 10)).min() == 255


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(StepError, match=r"broken\.png cannot be decoded"):
        decode(path, (8, 8))


def test_memory_and_stream_give_the_same_images(digits: ImageFolder) -> None:
    split = Split(digits.val.files[:7], digits.val.labels[:7])
    cached = CachedImages.decode(split, (16, 16), workers=2)
    images, labels = StreamedImages(split, (16, 16)).__getitems__(range(7))
    assert torch.equal(cached.images, images)
    assert torch.equal(cached.labels, labels)
    assert cached.images.nbytes == cache_bytes(split, (16, 16))
