"""Decoded images on the disk: made once, found again, never half."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from argosy.components.training.data import decoded
from argosy.components.training.data.decoded import Decoded, ensure
from argosy.components.training.data.images import CachedImages, ImageFolder, open_folder
from argosy.components.training.data.many_files import VARIABLE

SIZE = (8, 8)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder / "decoded"


def _ensure(data: ImageFolder) -> Decoded:
    kept = ensure(data, "train", SIZE, workers=2)
    assert kept is not None
    return kept


def _files(folder: Path) -> dict[str, int]:
    """Inode of every file: another one means that it was written again."""
    return {str(path): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_they_are_those_of_the_files_in_memory_and_mapped(digits: ImageFolder) -> None:
    expected = CachedImages.decode(digits.train, SIZE, workers=2).images
    kept = _ensure(digits)
    assert torch.equal(kept.images(in_memory=True), expected)
    assert torch.equal(kept.images(in_memory=False), expected)
    assert kept.skipped() == ()
    assert np.load(kept.folder / "images.npy").shape == (200, 3, 8, 8)  # readable without this code


def test_equal_data_elsewhere_find_them(digits: ImageFolder, tmp_path: Path, cache: Path) -> None:
    _ensure(digits)
    before = _files(cache)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(digits.root), str(copy)], check=True)
    assert _ensure(open_folder(copy)).root == copy
    assert _files(cache) == before


def test_other_data_sizes_and_halves_have_their_own(folder: Path, cache: Path) -> None:
    data = open_folder(folder)
    ensure(data, "train", SIZE, workers=1)
    ensure(data, "train", (8, 9), workers=1)
    ensure(data, "val", SIZE, workers=1)
    next((folder / "train" / "digit-0").iterdir()).unlink()
    (folder / "train" / "digit-0" / "new.png").write_bytes(next(iter(data.val.files)).read_bytes())
    ensure(open_folder(folder), "train", SIZE, workers=1)
    assert len(list(cache.iterdir())) == 4


def test_what_cannot_be_decoded_is_told_and_left_out(folder: Path) -> None:
    data = open_folder(folder)
    data.train.files[2].write_bytes(b"not an image")
    data = open_folder(folder)
    kept = _ensure(data)
    assert [one.file for one in kept.skipped()] == [data.train.files[2]]
    assert "cannot be decoded" in kept.skipped()[0].reason
    expected = CachedImages.decode(data.train.without(frozenset({data.train.files[2]})), SIZE, 1).images
    assert torch.equal(kept.images(in_memory=True), expected)


def test_data_without_the_damaged_ones_share_the_folder(folder: Path, cache: Path) -> None:
    open_folder(folder).train.files[0].write_bytes(b"not an image")
    data = open_folder(folder)
    rest = data.without(_ensure(data).skipped())
    before = _files(cache)
    assert len(_ensure(rest).images(in_memory=True)) == len(rest.train) == 5
    assert _files(cache) == before
    subprocess.run(["rm", "-r", str(cache)], check=True)
    _ensure(rest)  # now it is made from the smaller data set
    written = _files(cache)
    assert [one.file for one in _ensure(data).skipped()] == [data.train.files[0]]
    assert _files(cache) == written


@pytest.mark.parametrize("damage", ["truncate", "empty", "no list", "other shape"])
def test_a_damaged_copy_is_made_again(digits: ImageFolder, damage: str) -> None:
    kept = _ensure(digits)
    expected = kept.images(in_memory=True)
    images = kept.folder / "images.npy"
    if damage == "truncate":
        os.truncate(images, images.stat().st_size // 2)
    elif damage == "empty":
        images.write_bytes(b"")
    elif damage == "no list":
        (kept.folder / "skipped.json").unlink()
    else:
        np.save(images, np.zeros((3, 3, 8, 8), np.uint8))
    assert torch.equal(_ensure(digits).images(in_memory=True), expected)


def test_a_killed_process_leaves_nothing_that_is_taken_for_whole(
    folder: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code = (
        "import os, sys; from pathlib import Path;"
        "from argosy.components.training.data import decoded, images;"
        "real = decoded.decode; met = [];"
        "decoded.decode = lambda *a: os.kill(os.getpid(), 9) if len(met) == 4 else met.append(1) or real(*a);"
        "decoded.ensure(images.open_folder(Path(sys.argv[1])), 'train', (8, 8), 1)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9
    (left,) = cache.iterdir()
    assert left.name.startswith(".partial-")
    assert len(_ensure(open_folder(folder)).images(in_memory=True)) == 6
    assert left.exists()  # another process may be at work in it
    os.utime(left, (0, 0))
    ensure(open_folder(folder), "val", SIZE, workers=1)
    assert not left.exists()


def test_several_processes_at_once_agree(digits: ImageFolder, cache: Path) -> None:
    data = digits.identified()
    with ThreadPoolExecutor(4) as pool:
        results = [kept.images(in_memory=True) for kept in pool.map(_ensure, [data] * 4)]
    assert all(torch.equal(results[0], other) for other in results)
    assert len(list(cache.iterdir())) == 1


def test_a_full_disk_is_noticed_before(
    digits: ImageFolder, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(decoded, "RESERVE", 1 << 62)
    assert ensure(digits, "train", SIZE, workers=1) is None
    assert "has no room for the decoded images of train/" in caplog.text


def test_a_place_that_cannot_be_written_is_done_without(
    digits: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert ensure(digits, "train", SIZE, workers=1) is None
    assert "decoded images cannot be kept in" in caplog.text


def test_the_fingerprint_is_not_read_twice(digits: ImageFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(digits, digest="0" * 64)
    assert _ensure(data).folder.name.startswith("0" * 32)
