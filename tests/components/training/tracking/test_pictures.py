"""Pictures are drawn whatever the data are: few classes or many, odd names, one epoch or none wrong."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from argosy.components.training.tracking import report


def _colours(path: Path) -> int:
    """How many different colours a picture has; a blank one has one."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return len(image.convert("RGB").getcolors(1 << 24) or ())


@pytest.mark.parametrize("count", [2, 10, 40, 200])
def test_a_confusion_matrix(tmp_path: Path, count: int) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (count, count)) + np.eye(count, dtype=np.int64) * 50
    report.confusion_matrix(counts, [f"class {n}" for n in range(count)], tmp_path / "a.png")
    assert _colours(tmp_path / "a.png") > 10
    other = counts.copy()
    other[0, 1] += 30
    report.confusion_matrix(other, [f"class {n}" for n in range(count)], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_class_without_images_and_odd_names(tmp_path: Path) -> None:
    names = ["$x_{", "a" * 300, "new\nline", "100 %"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # a division by zero
        report.confusion_matrix(np.diag([3, 0, 1, 2]), names, tmp_path / "a.png")
    assert _colours(tmp_path / "a.png") > 10


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_curves(tmp_path: Path, epochs: int) -> None:
    history = {
        epoch: {
            "train_loss": 1 / epoch,
            "val_loss": 2 / epoch,
            "val_accuracy": 1 - 1 / epoch,
            "best_val_accuracy": 1 - 1 / epoch,
            "learning_rate": 0.1 / epoch,
        }
        for epoch in range(epochs, 0, -1)
    }
    report.curves(history, tmp_path / "curves.png")
    assert _colours(tmp_path / "curves.png") > 10


def test_curves_of_what_was_measured(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.curves({1: {"val_loss": 1.0}, 2: {}}, tmp_path / "curves.png")


@pytest.mark.parametrize("count", [1, 5, 6, 25])
def test_a_contact_sheet(tmp_path: Path, count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 16, 24), dtype=np.uint8)
    report.contact_sheet(images, ["one\nas $other"] * count, tmp_path / "sheet.png")
    assert _colours(tmp_path / "sheet.png") > 100


def test_no_display_and_no_global_state() -> None:
    code = (
        "import sys, pathlib, tempfile, numpy as np;"
        "from argosy.components.training.tracking import report;"
        "assert 'matplotlib' not in sys.modules;"
        "report.confusion_matrix(np.eye(2, dtype=int), 'ab', pathlib.Path(tempfile.mkdtemp(), 'a.png'));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": "", "MPLBACKEND": "TkAgg"})
