"""Decoding: any picture becomes RGB bytes of the wanted size."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from argosy.components.training.data.images import (
    CachedImages,
    ImageFolder,
    Split,
    StreamedImages,
    Unreadable,
    cache_bytes,
    decode,
)


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
    with pytest.raises(Unreadable, match=r"broken\.png cannot be decoded"):
        decode(path, (8, 8))


def test_16_bits_keep_their_range(tmp_path: Path) -> None:
    ramp = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    for path in (tmp_path / "deep.png", tmp_path / "deep.tiff"):
        Image.fromarray(ramp).save(path)
        assert torch.equal(decode(path, (8, 8))[0], torch.from_numpy((ramp >> 8).astype(np.uint8)))
    Image.fromarray(ramp.astype(np.int32)).save(tmp_path / "wide.tiff")
    assert decode(tmp_path / "wide.tiff", (8, 8))[0].max() == 252


def test_fractions_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "fractions.tiff")
    with pytest.raises(Unreadable, match="fractions"):
        decode(tmp_path / "fractions.tiff", (8, 8))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_camera_is_turned_back(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((64, 32, 3), np.uint8)
    upright[:32] = 255  # white above, black below
    turned = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"camera.{suffix}"
    Image.fromarray(np.ascontiguousarray(np.rot90(upright, turned))).save(path, exif=exif)
    image = decode(path, (8, 4)).float()
    assert image[:, :3].min() > 200
    assert image[:, 5:].max() < 50


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_an_animation_the_first_picture_counts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"animation.{suffix}"
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black", "red")]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    assert decode(path, (8, 8)).min() > 250


def test_a_palette_with_transparency_does_not_warn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "palette.png"
    Image.new("P", (8, 8)).save(path, transparency=b"\x00\x80\xff")
    decode(path, (8, 8))
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [(100_000, 100_000, "decompression bomb"), (10_000, 9_001, "10000x9001 pixels are too many")],
)
def test_a_small_file_that_claims_to_be_a_huge_image_is_refused(
    tmp_path: Path, width: int, height: int, message: str
) -> None:
    path = tmp_path / "small.png"
    Image.new("L", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", width, height)  # in the header, which has a checksum
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=message):
        decode(path, (8, 8))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_no_damage_raises_anything_else(tmp_path: Path, suffix: str) -> None:
    """Each file is decoded all the same or refused in one way; nothing else comes out of the decoders."""
    generator = np.random.default_rng(0)
    path = tmp_path / f"whole.{suffix}"
    Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    whole, refused = path.read_bytes(), 0
    for _ in range(150):
        damaged = bytearray(whole[: generator.integers(1, len(whole))] if generator.random() < 0.3 else whole)
        for position in generator.integers(0, min(len(damaged), 200), 4):
            damaged[position] = generator.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            assert decode(path, (8, 8)).shape == (3, 8, 8)
        except Unreadable:
            refused += 1
    assert refused > 20


def test_memory_and_stream_give_the_same_images(digits: ImageFolder) -> None:
    split = Split(digits.val.files[:7], digits.val.labels[:7])
    cached = CachedImages.decode(split, (16, 16), workers=2)
    images, labels = StreamedImages(split, (16, 16)).__getitems__(range(7))
    assert torch.equal(cached.images, images)
    assert torch.equal(cached.labels, labels)
    assert cached.images.nbytes == cache_bytes(split, (16, 16))
