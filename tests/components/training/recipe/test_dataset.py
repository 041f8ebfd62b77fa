"""The layout of a data set: what is found, and what is refused before anything is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from argosy.components.training.recipe.dataset import open_folder
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
    assert len(open_folder(folder).train) == 6


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


INVALID: list[tuple[Callable[[Path], None], str]] = [
    (_drop("train"), "has no folder train/"),
    (_drop("val"), "has no folder val/"),
    (_drop("val", "digit-1"), "val/ lacks digit-1, which train/ has"),
    (_drop("train", "digit-2"), "train/ lacks digit-2, which val/ has"),
    (_single_class, "train/ holds 1 classes"),
    (_empty("train", "digit-0"), "train/digit-0/ holds no image"),
    (_empty("val", "digit-2"), "val/digit-2/ holds no image"),
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
