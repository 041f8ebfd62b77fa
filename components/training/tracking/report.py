"""The evaluation of a trained network as files: tables for programs, pictures for people."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import CachedImages, StreamedImages
from argosy.components.training.tracking import pictures
from argosy.components.training.tracking.predictions import Predictions

MOST_PICTURES = 25
MOST_LISTED = 1000


def per_class(predictions: Predictions, classes: Sequence[str]) -> list[dict[str, object]]:
    """A row for each class: how many images, how many right, the accuracy (recall) and the precision.

    The precision of a class that was never predicted is None.
    """
    matrix = predictions.confusion()
    rows: list[dict[str, object]] = []
    for label, name in enumerate(classes):
        right, images, named = (
            int(n) for n in (matrix[label, label], matrix[label].sum(), matrix[:, label].sum())
        )
        rows.append(
            {
                "class": name,
                "images": images,
                "correct": right,
                "accuracy": right / images,
                "precision": right / named if named else None,
            }
        )
    return rows


def write_report(
    folder: Path,
    predictions: Predictions,
    data: ImageFolder,
    images: CachedImages | StreamedImages,
    history: Mapping[int, Mapping[str, float]],
) -> None:
    """Write everything into `folder`.

    Args:
        folder: an empty folder.
        predictions: about the validation images.
        data: the data set.
        images: its validation images.
        history: the metrics of each epoch.
    """
    matrix = predictions.confusion()
    rows = per_class(predictions, data.classes)
    (folder / "per_class.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    _write_csv(folder / "per_class.csv", list(rows[0]), (row.values() for row in rows))
    _write_csv(
        folder / "confusion_matrix.csv",
        ["true \\ predicted", *data.classes],
        ([name, *counts] for name, counts in zip(data.classes, matrix.tolist(), strict=True)),
    )
    pictures.confusion_matrix(matrix, data.classes, folder / "confusion_matrix.png")
    if history:
        pictures.curves(history, folder / "curves.png")
    _write_mistakes(folder, predictions, data, images)


def _write_mistakes(
    folder: Path, predictions: Predictions, data: ImageFolder, images: CachedImages | StreamedImages
) -> None:
    """The wrong answers, the most confident one first; the picture is left out where there are none."""
    mistakes = predictions.mistakes()
    rows = (
        [
            data.val.files[position].relative_to(data.root).as_posix(),
            data.classes[predictions.labels[position]],
            data.classes[predictions.predicted[position]],
            f"{predictions.confidence[position]:.4f}",
        ]
        for position in mistakes[:MOST_LISTED]
    )
    _write_csv(folder / "misclassified.csv", ["file", "true", "predicted", "confidence"], rows)
    shown = mistakes[:MOST_PICTURES]
    if len(shown):
        captions = [_caption(predictions, data.classes, position) for position in shown]
        pictures.contact_sheet(pixels_at(images, shown).numpy(), captions, folder / "misclassified.png")


def _caption(predictions: Predictions, classes: Sequence[str], position: int) -> str:
    true, taken_for = classes[predictions.labels[position]], classes[predictions.predicted[position]]
    return f"{pictures.short(true)}\nas {pictures.short(taken_for)} {predictions.confidence[position]:.2f}"


def pixels_at(images: CachedImages | StreamedImages, positions: npt.NDArray[np.int64]) -> Tensor:
    """The images at these positions, uint8 (N, 3, height, width), on the CPU."""
    wanted = positions.tolist()
    pixels: Tensor = (
        images.images[wanted] if isinstance(images, CachedImages) else images.__getitems__(wanted)[0]
    )
    return pixels.cpu()


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
