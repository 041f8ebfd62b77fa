"""The layout of a data set: what is found, and what is refused before anything is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from argosy.components.training.data.images import Skipped, open_folder
from argosy.errors import UsageError


def test_classes_and_files_are_found_in_order(folder: Path) -> None:
    data = open_folder(folder)
    assert data.classes == ("digit-0", "digit-1", "digit-2")
    assert (len(data.train), len(data.val)) == (6, 3)
    assert data.train.labels == (0, 0, 1, 1, 2, 2)
    assert all(
        file.parent.name == data.classes[label]
        for file, label in zip(data.train.files, data.train.labels, strict=True)
    )


def test_what_is_no_image_is_ignored(folder: Path) -> None:
    (folder / "train" / "digit-0" / "notes.txt").write_text("not an image")
    (folder / "train" / ".hidden").mkdir()
    (folder / "train" / "digit-0" / ".partial-1.png").write_text("half")
    data = open_folder(folder)
    assert len(data.train) == 6
    assert data.ignored == 1


def test_images_of_a_class_may_lie_deeper_and_in_any_case(folder: Path) -> None:
    (folder / "train" / "digit-1" / "more").mkdir()
    Image.new("L", (8, 8)).save(folder / "train" / "digit-1" / "more" / "one.JPG")
    data = open_folder(folder)
    assert data.counts() == {
        "digit-0": {"train": 2, "val": 1},
        "digit-1": {"train": 3, "val": 1},
        "digit-2": {"train": 2, "val": 1},
    }


def _drop(*parts: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(root.joinpath(*parts))


def _empty(*parts: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        for file in root.joinpath(*parts).iterdir():
            file.unlink()

    return act


def _single_class(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("digit-1", "digit-2"):
            shutil.rmtree(root / split / name)


def _leave_one(*parts: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        for file in sorted(root.joinpath(*parts).iterdir())[1:]:
            file.unlink()

    return act


INVALID: list[tuple[Callable[[Path], None], str]] = [
    (_drop("train"), "has no folder train/"),
    (_drop("val"), "has no folder val/"),
    (_drop("val", "digit-1"), "val/ lacks digit-1, which train/ has"),
    (_drop("train", "digit-2"), "train/ lacks digit-2, which val/ has"),
    (_single_class, "train/ holds 1 classes"),
    (_empty("train", "digit-0"), "train/digit-0/ holds no image"),
    (_empty("val", "digit-2"), "val/digit-2/ holds no image"),
    (_leave_one("train", "digit-1"), "train/digit-1/ holds 1 image, and at least 2 are needed"),
]


@pytest.mark.parametrize(("damage", "message"), INVALID)
def test_invalid(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(UsageError, match=message) as caught:
        open_folder(folder)
    assert str(folder) in str(caught.value)


def test_no_classes_at_all(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
    with pytest.raises(UsageError, match="train/ holds 0 classes"):
        open_folder(tmp_path)


def test_greyscale_is_told_from_colour(folder: Path) -> None:
    assert open_folder(folder).greyscale
    for file in (folder / "train" / "digit-1").iterdir():
        Image.open(file).convert("RGB").save(file)
    assert not open_folder(folder).greyscale


def test_an_unreadable_header_is_named(folder: Path) -> None:
    for file in (folder / "train" / "digit-1").iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"digit-1.*cannot be read as an image"):
        _ = open_folder(folder).greyscale


def test_the_fingerprint_follows_content_and_names_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    before = open_folder(folder).fingerprint()
    elsewhere = tmp_path / "elsewhere"
    for split in ("train", "val"):
        shutil.copytree(folder / split, elsewhere / split)
    assert open_folder(elsewhere).fingerprint() == before
    changed = next((elsewhere / "val" / "digit-0").iterdir())
    renamed = changed.rename(changed.with_name("renamed.png"))
    after_rename = open_folder(elsewhere).fingerprint()
    Image.new("L", (8, 8)).save(renamed)
    assert len({before, after_rename, open_folder(elsewhere).fingerprint()}) == 3


def test_leaving_files_out_keeps_labels_and_fingerprint(folder: Path) -> None:
    data = open_folder(folder)
    rest = data.without([Skipped(data.train.files[2], "why"), Skipped(data.val.files[0], "why")])
    assert rest.train.labels == (0, 0, 1, 2, 2)
    assert rest.train.files == data.train.files[:2] + data.train.files[3:]
    assert rest.val.files == data.val.files[1:]
    assert rest.fingerprint() == data.fingerprint()
    assert len(rest.skipped) == 2
