"""The evaluation as files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from argosy.components.training.data.images import CachedImages, ImageFolder, StreamedImages
from argosy.components.training.tracking.report import Predictions, per_class, write_report

SIZE = (16, 16)
HISTORY = {1: {"train_loss": 1.0, "val_loss": 1.0, "val_accuracy": 0.5, "learning_rate": 0.1}}


def _predictions(data: ImageFolder, *wrong: int) -> Predictions:
    """All right, except that these positions are taken for the next class."""
    labels = np.array(data.val.labels)
    predicted = labels.copy()
    predicted[list(wrong)] = (predicted[list(wrong)] + 1) % len(data.classes)
    confidence = np.linspace(0.3, 0.9, len(labels))
    return Predictions(labels, predicted, confidence, len(data.classes))


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


@pytest.mark.parametrize("streamed", [False, True])
def test_everything_is_written(digits: ImageFolder, tmp_path: Path, streamed: bool) -> None:
    images = StreamedImages(digits.val, SIZE) if streamed else CachedImages.decode(digits.val, SIZE, 1)
    write_report(tmp_path, _predictions(digits, 0, 7), digits, images, HISTORY)
    assert {file.name for file in tmp_path.iterdir()} == {
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "curves.png",
        "misclassified.csv",
        "misclassified.png",
        "per_class.csv",
        "per_class.json",
    }
    matrix = _rows(tmp_path / "confusion_matrix.csv")
    assert matrix[0] == ["true \\ predicted", *digits.classes]
    assert matrix[1] == ["digit-0", "4", "1", *["0"] * 8]
    wrong = _rows(tmp_path / "misclassified.csv")
    assert [row[1:3] for row in wrong[1:]] == [["digit-1", "digit-2"], ["digit-0", "digit-1"]]
    assert wrong[1][0] == digits.val.files[7].relative_to(digits.root).as_posix()


def test_the_table_of_the_classes(digits: ImageFolder, tmp_path: Path) -> None:
    rows = per_class(_predictions(digits, 0, 1, 2, 3, 4), digits.classes)
    assert rows[0] == {"class": "digit-0", "images": 5, "correct": 0, "accuracy": 0.0, "precision": None}
    assert rows[1] == {"class": "digit-1", "images": 5, "correct": 5, "accuracy": 1.0, "precision": 0.5}
    images = CachedImages.decode(digits.val, SIZE, 1)
    write_report(tmp_path, _predictions(digits, 0), digits, images, {})
    written = json.loads((tmp_path / "per_class.json").read_text())
    assert [row["accuracy"] for row in written] == [0.8] + [1.0] * 9
    assert _rows(tmp_path / "per_class.csv")[1] == ["digit-0", "5", "4", "0.8", "1.0"]


def test_no_mistake_and_no_epoch_have_no_picture(digits: ImageFolder, tmp_path: Path) -> None:
    images = CachedImages.decode(digits.val, SIZE, 1)
    write_report(tmp_path, _predictions(digits), digits, images, {})
    assert not (tmp_path / "misclassified.png").exists()
    assert not (tmp_path / "curves.png").exists()
    assert len(_rows(tmp_path / "misclassified.csv")) == 1
