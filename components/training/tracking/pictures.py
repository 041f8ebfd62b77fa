"""Pictures of a training, for people: drawn without a display and without global state.

matplotlib comes with MLflow. It is imported where it is used, for it takes its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 20  # classes up to which each cell shows its number
MOST_NAMES = 60  # and up to which the axes show names
PER_ROW, TILE, GAP = 5, 144, 40  # images in a row of a contact sheet; pixels of each and between them

_PANELS = (
    ("loss", ("train_loss", "val_loss")),
    ("accuracy", ("val_accuracy", "best_val_accuracy")),
    ("learning rate", ("learning_rate",)),
)


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
    if count <= MOST_NAMES:
        axes.set_xticks(range(count), [_label(name) for name in classes], rotation=90)
        axes.set_yticks(range(count), [_label(name) for name in classes])
    if count <= MOST_NUMBERS:
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
    scale = TILE / max(height, width)
    tile = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = -(-len(images) // PER_ROW)
    sheet = Image.new("RGB", (PER_ROW * (TILE + GAP), rows * (TILE + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = number % PER_ROW * (TILE + GAP) + GAP // 2, number // PER_ROW * (TILE + GAP) + GAP // 8
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


def short(name: str) -> str:
    """The name on one line of at most 20 characters: none may take the room of the picture."""
    line = " ".join(name.split())
    return line if len(line) <= 20 else line[:17] + "..."


def _label(name: str) -> str:
    """A short name in which no part is taken for a formula."""
    return short(name).replace("$", r"\$")
