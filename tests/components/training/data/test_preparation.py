"""Preparation: what is left out, what is refused, where images come from."""

from pathlib import Path

import pytest
import torch

from argosy.components.training.data import decoded
from argosy.components.training.data.decoded import load_images, prepare
from argosy.components.training.data.images import (
    CachedImages,
    ImageFolder,
    StreamedImages,
    Unreadable,
    open_folder,
)
from argosy.components.training.data.many_files import VARIABLE
from argosy.errors import UsageError
from tests.components.training.digits import write_digits

SIZE = (8, 8)


@pytest.fixture(autouse=True, params=["disk", "no disk"])
def cache(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A cache of the test's own, or none at all: what is prepared must be the same."""
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.mktemp("cache")))
    if request.param == "no disk":
        monkeypatch.setattr(decoded, "RESERVE", 1 << 62)
    return str(request.param)


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    """60 images to train on, 15 to validate; three classes."""
    write_digits(tmp_path, train=20, val=5, classes=3)
    return tmp_path


def _damage(root: Path, half: str, name: str, count: int) -> None:
    for file in sorted((root / half / name).iterdir())[:count]:
        file.write_bytes(file.read_bytes()[:60])


def test_a_sound_data_set_stays_as_it_is(larger: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    data = open_folder(larger)
    prepared = prepare(data, SIZE, workers=2)
    assert (prepared.train, prepared.val, prepared.skipped) == (data.train, data.val, ())
    assert prepared.fingerprint() == data.fingerprint()
    assert "left out" not in caplog.text


def test_single_damaged_images_are_left_out_counted_and_named(
    larger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    _damage(larger, "train", "digit-1", 2)
    _damage(larger, "val", "digit-2", 1)
    data = open_folder(larger)
    prepared = prepare(data, SIZE, workers=2)
    assert (len(prepared.train), len(prepared.val), len(prepared.skipped)) == (58, 14, 3)
    assert prepared.counts()["digit-1"] == {"train": 18, "val": 5}
    assert prepared.fingerprint() == data.fingerprint()
    assert "3 images cannot be decoded and are left out: train/digit-1/" in caplog.text
    for half in ("train", "val"):
        images = load_images(prepared, half, SIZE, workers=1, in_memory=True)
        assert len(images) == len(prepared.half(half))


@pytest.mark.parametrize(
    ("half", "name", "count", "message"),
    [
        ("train", "digit-0", 4, "4 of 75 images cannot be decoded, which is more than 5%; the first: "),
        (
            "train",
            "digit-1",
            20,
            "train/digit-1/ holds 0 images that can be decoded, and at least 2 are needed",
        ),
        (
            "train",
            "digit-1",
            19,
            "train/digit-1/ holds 1 images that can be decoded, and at least 2 are needed",
        ),
        ("val", "digit-2", 5, "val/digit-2/ holds 0 images that can be decoded, and at least 1 are needed"),
    ],
)
def test_too_much_damage_is_refused(larger: Path, half: str, name: str, count: int, message: str) -> None:
    _damage(larger, half, name, count)
    with pytest.raises(UsageError) as caught:
        prepare(open_folder(larger), SIZE, workers=1)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"data set {larger}: ")
    assert f"{half}/{name}/" in text  # a file of that class
    assert "\n" not in text


def test_other_files_are_counted(larger: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (larger / "train" / "digit-0" / "notes.txt").write_text("text")
    (larger / "val" / "digit-0" / "Thumbs.db").write_text("text")
    assert prepare(open_folder(larger), SIZE, workers=1).ignored == 2
    assert "2 files of" in caplog.text


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_come_from_where_there_is_room(digits: ImageFolder, cache: str, in_memory: bool) -> None:
    images = load_images(digits, "val", SIZE, workers=1, in_memory=in_memory)
    if isinstance(images, CachedImages):
        assert in_memory or images.mapped
    else:
        assert (cache, in_memory) == ("no disk", False)
    pixels = images.images if isinstance(images, CachedImages) else images.__getitems__(range(len(images)))[0]
    assert torch.equal(pixels, CachedImages.decode(digits.val, SIZE, 1).images)


def test_damage_that_nobody_looked_for_is_an_error(larger: Path) -> None:
    _damage(larger, "val", "digit-0", 1)
    data = open_folder(larger)
    with pytest.raises(Unreadable, match="cannot be decoded"):
        images = load_images(data, "val", SIZE, workers=1, in_memory=False)
        assert isinstance(images, StreamedImages)
        images.__getitems__(range(len(images)))
