"""The evaluation of a trained network as files: predictions, tables for programs, pictures for people."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from argosy.components.shared.run_files import INPUTS_FILE, LABELS_FILE
from argosy.components.training.data.batches import Batches
from argosy.components.training.data.decoded import load_images
from argosy.components.training.data.images import CachedImages, ImageFolder, Size, StreamedImages, normalise
from argosy.components.training.network.engine import Precision, choose_precision
from argosy.components.training.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # matplotlib takes its time: it is imported where it is used

_MOST_PICTURES = 25
_MOST_LISTED = 1000
_MOST_NUMBERS = 20  # classes up to which each cell shows its number
_MOST_NAMES = 60  # and up to which the axes show names
_PER_ROW, _TILE, _GAP = 5, 144, 40  # images in a row of a contact sheet; pixels of each and between them
_PANELS = (
    ("loss", ("train_loss", "val_loss")),
    ("accuracy", ("val_accuracy", "best_val_accuracy")),
    ("learning rate", ("learning_rate",)),
)
MOST_SAMPLES = 256
_MOST_BYTES = 64 * 2**20  # as float32: 111 images of 224 x 224 pixels


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
    confusion_matrix(matrix, data.classes, folder / "confusion_matrix.png")
    if history:
        curves(history, folder / "curves.png")
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
        for position in mistakes[:_MOST_LISTED]
    )
    _write_csv(folder / "misclassified.csv", ["file", "true", "predicted", "confidence"], rows)
    shown = mistakes[:_MOST_PICTURES]
    if len(shown):
        captions = [_caption(predictions, data.classes, position) for position in shown]
        contact_sheet(_pixels_at(images, shown).numpy(), captions, folder / "misclassified.png")


def _caption(predictions: Predictions, classes: Sequence[str], position: int) -> str:
    true, taken_for = classes[predictions.labels[position]], classes[predictions.predicted[position]]
    return f"{_short(true)}\nas {_short(taken_for)} {predictions.confidence[position]:.2f}"


def _pixels_at(images: CachedImages | StreamedImages, positions: npt.NDArray[np.int64]) -> Tensor:
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


def confusion_matrix(counts: npt.NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw how often each true class (row) was taken for each class (column)."""
    count = len(classes)
    side = min(max(4.0, 0.55 * count), 16.0)
    figure = _figure(side + 1.5, side)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=f"{int(counts.sum())} validation images")
    if count <= _MOST_NAMES:
        axes.set_xticks(range(count), [_label(name) for name in classes], rotation=90)
        axes.set_yticks(range(count), [_label(name) for name in classes])
    if count <= _MOST_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    _save(figure, path)


def curves(history: Mapping[int, Mapping[str, float]], path: Path) -> None:
    """Draw losses, accuracies and learning rate over the epochs; `history` maps an epoch to its metrics."""
    figure = _figure(5.0 * len(_PANELS), 3.6)
    epochs = sorted(history)
    for axes, (title, names) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for name in names:
            points = [(epoch, history[epoch][name]) for epoch in epochs if name in history[epoch]]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=name)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    _save(figure, path)


def contact_sheet(images: npt.NDArray[np.uint8], captions: Sequence[str], path: Path) -> None:
    """Draw images, uint8 (N, 3, height, width), N at least 1, each with a caption of two lines below it."""
    height, width = images.shape[2:]
    scale = _TILE / max(height, width)
    tile = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = -(-len(images) // _PER_ROW)
    sheet = Image.new("RGB", (_PER_ROW * (_TILE + _GAP), rows * (_TILE + _GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = (
            number % _PER_ROW * (_TILE + _GAP) + _GAP // 2,
            number // _PER_ROW * (_TILE + _GAP) + _GAP // 8,
        )
        scaled = Image.fromarray(image.transpose(1, 2, 0)).resize(tile, Image.Resampling.NEAREST)
        sheet.paste(scaled, (left, top))
        draw.multiline_text((left, top + tile[1] + 2), caption, fill="black", font=font)
    sheet.save(path)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]


def _font() -> ImageFont.FreeTypeFont:
    """matplotlib's own: it knows more letters than Pillow's."""
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 11)


def _short(name: str) -> str:
    """The name on one line of at most 20 characters: none may take the room of the picture."""
    line = " ".join(name.split())
    return line if len(line) <= 20 else line[:17] + "..."


def _label(name: str) -> str:
    """A short name in which no part is taken for a formula."""
    return _short(name).replace("$", r"\$")


def write_samples(
    folder: Path, images: CachedImages | StreamedImages, labels: npt.NDArray[np.int64]
) -> list[Path]:
    """Write validation images, spread evenly over the data set, and their labels; the files' paths.

    Args:
        folder: where to.
        images: the validation images, uint8 (N, 3, height, width).
        labels: the class of each of them.
    """
    sample_bytes = 4 * math.prod(_pixels_at(images, np.zeros(1, np.int64)).shape[1:])
    count = min(len(labels), MOST_SAMPLES, max(1, _MOST_BYTES // sample_bytes))
    positions = np.linspace(0, len(labels) - 1, count).round().astype(np.int64)
    inputs = normalise(_pixels_at(images, positions)).numpy()
    paths = [folder / INPUTS_FILE, folder / LABELS_FILE]
    for path, array in zip(paths, (inputs, labels[positions]), strict=True):
        np.save(path, array, allow_pickle=False)
    return paths


@dataclass(frozen=True)
class Predictions:
    """Arrays of length N, in the order of the images.

    Attributes:
        labels: the true class indices.
        predicted: the class indices that the network prefers.
        confidence: the probability that it gives to those, 0 to 1.
        classes: how many classes there are.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    classes: int

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float((self.labels == self.predicted).mean())

    def confusion(self) -> npt.NDArray[np.int64]:
        """How often each true class (row) was taken for each class (column)."""
        pairs = self.labels * self.classes + self.predicted
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def mistakes(self) -> npt.NDArray[np.int64]:
        """Positions of the wrong answers, the most confident one first."""
        wrong = np.flatnonzero(self.labels != self.predicted)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")]


def judge(
    model: nn.Module, recipe: Recipe, data: ImageFolder, size: Size
) -> tuple[Predictions, CachedImages | StreamedImages]:
    """The predictions of `model` for the validation images, and those images.

    Args:
        model: on the CPU, in evaluation mode.
        recipe: how it was trained.
        data: the data set.
        size: height and width that the network takes.
    """
    precision = choose_precision(recipe.precision, size)
    images = load_images(data, "val", size, workers=recipe.workers, in_memory=False)
    batches = Batches(images, batch_size=recipe.batch_size, device=precision.device, workers=recipe.workers)
    return predict(model, batches, precision, len(data.classes)), images


@torch.inference_mode()
def predict(model: nn.Module, batches: Batches, precision: Precision, classes: int) -> Predictions:
    """Ask `model`, which is on the CPU and goes back there, about all images of `batches`, in their order."""
    placed = precision.place(model)
    parts: list[tuple[torch.Tensor, ...]] = []
    for images, labels in batches:
        with precision.autocast():
            logits = placed(precision.arrange(normalise(images)))
        confidence, predicted = logits.double().softmax(1).max(1)
        parts.append((labels.cpu(), predicted.cpu(), confidence.cpu()))
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    labels, predicted, confidence = (torch.cat(column) for column in zip(*parts, strict=True))
    return Predictions(labels.numpy(), predicted.numpy(), confidence.numpy(), classes)
