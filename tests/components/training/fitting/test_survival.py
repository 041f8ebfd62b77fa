"""A training that is cut off, anywhere and any number of times, ends as one that was not: bit for bit."""

from __future__ import annotations

import itertools
import signal
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from argosy.components.training import fitting as module
from argosy.components.training.checkpoints.checkpoint import Identity
from argosy.components.training.checkpoints.checkpoints import Checkpoints, FolderStore
from argosy.components.training.checkpoints.interruption import Interrupted, Interruption
from argosy.components.training.data.images import ImageFolder
from argosy.components.training.fitting import Fitted, fit
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import NullTracker
from argosy.errors import StepError
from tests.components.training.small import Notes, small_network, weights

EPOCHS, STEPS = 3, 5  # three of training, one to measure batch norm, one of validation
Size = tuple[int, int]


class _SignalAt(Interruption):
    """The signal comes in the middle of this step, counted over training and evaluation."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._steps = itertools.count(1)
        self._step = step

    def check(self) -> None:
        """As ever, after that step."""
        if next(self._steps) == self._step:
            self.handle(signal.SIGTERM, None)
        super().check()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in place of a ResNet."""
    monkeypatch.setattr(module, "starting_model", small_network)


@pytest.fixture
def recipe(recipe: Recipe) -> Recipe:
    """Three epochs of three steps."""
    return recipe.override({"batch_norm_images": 64}, epochs=EPOCHS, batch_size=64)


def _open(
    folder: Path, recipe: Recipe, data: ImageFolder, size: Size, store: type[FolderStore] = FolderStore
) -> Checkpoints:
    return Checkpoints(store(folder), Identity.of("m", recipe, data, size))


def _survive(
    folder: Path, recipe: Recipe, data: ImageFolder, size: Size, *cuts: int
) -> tuple[Fitted, Notes, int]:
    """Train with a signal after so many steps of each attempt; the result, what was told, the attempts."""
    notes = Notes()
    for attempt, cut in enumerate((*cuts, 0), start=1):
        checkpoints = _open(folder, recipe, data, size)
        try:
            return fit(recipe, data, size, notes, checkpoints, _SignalAt(cut)), notes, attempt
        except Interrupted as interrupted:
            assert "holds all of it, and the same command goes on from there" in str(interrupted)
            assert interrupted.exit_code == 143
    raise AssertionError("the last attempt is not interrupted")


def _same(one: tuple[Fitted, Notes, int], other: tuple[Fitted, Notes, int]) -> None:
    assert torch.equal(weights(one[0].model), weights(other[0].model))
    assert one[1].epochs == other[1].epochs
    assert one[0].best_val_accuracy == other[0].best_val_accuracy
    assert one[0].best_epoch == other[0].best_epoch


def test_cut_off_after_any_step(digits: ImageFolder, recipe: Recipe, tmp_path: Path) -> None:
    size = (16, 16)
    whole = _survive(tmp_path / "whole", recipe, digits, size)
    assert list(whole[1].epochs) == [1, 2, 3]
    for cut in range(1, EPOCHS * STEPS + 1):
        again = _survive(tmp_path / str(cut), recipe, digits, size, cut)
        assert again[2] == 2
        _same(again, whole)


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({}, (16, 16)),
        ({"cache_gib": 0}, (16, 16)),
        ({"precision": "bf16", "horizontal_flip": True}, (64, 64)),
    ],
    ids=["in memory", "decoded by workers", "bf16 and channels_last"],
)
def test_cut_off_again_and_again(
    change: dict[str, Any], size: Size, digits: ImageFolder, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = recipe.override(change)
    whole = _survive(tmp_path / "whole", recipe, digits, size)
    again = _survive(tmp_path / "cut", recipe, digits, size, 1, 3, 2, 1, 1, 2)
    assert again[2] == 7
    _same(again, whole)


def test_a_checkpoint_is_made_every_epoch(digits: ImageFolder, recipe: Recipe, tmp_path: Path) -> None:
    class Looks(NullTracker):
        """Notes which checkpoints are there when an epoch is told."""

        seen: list[str] = []  # noqa: RUF012 - one instance

        def epoch(self, number: int, metrics: object) -> None:
            """Wait for the write under way, then look."""
            checkpoints.settle()
            self.seen.append(max(path.name for path in tmp_path.iterdir()))

    checkpoints = _open(tmp_path, recipe, digits, (16, 16))
    looks = Looks()
    fit(recipe, digits, (16, 16), looks, checkpoints)
    assert [name[:20] for name in looks.seen] == [f"epoch-0000{n}-batch-00" for n in (2, 3, 4)]


def test_a_tracker_that_fails_costs_no_epoch(digits: ImageFolder, recipe: Recipe, tmp_path: Path) -> None:
    class Failing(Notes):
        """Cannot be reached in the second epoch."""

        def epoch(self, number: int, metrics: Any) -> None:
            """Fail, or keep the metrics."""
            if number == 2:
                raise StepError("MLflow does not answer")
            super().epoch(number, metrics)

    with pytest.raises(StepError, match="does not answer"):
        fit(recipe, digits, (16, 16), Failing(), _open(tmp_path, recipe, digits, (16, 16)))
    notes, steps = Notes(), _SignalAt(0)
    fit(recipe, digits, (16, 16), notes, _open(tmp_path, recipe, digits, (16, 16)), steps)
    assert list(notes.epochs) == [1, 2, 3]
    assert next(steps._steps) - 1 == STEPS + 1  # only the third epoch was left


class _NanFrom(nn.Module):
    """A network whose answers are no numbers from this training step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.network = small_network()
        self.left = step

    def forward(self, images: Tensor) -> Tensor:
        """The network's answers, spoiled from that step on."""
        self.left -= self.training
        logits: Tensor = self.network(images)
        return logits if self.left > 0 else logits * float("nan")


class _Slow(FolderStore):
    """A store whose writes are still under way when the training goes on."""

    def write(self, name: str, data: BytesIO) -> None:
        """Write late."""
        time.sleep(0.5)
        super().write(name, data)


@pytest.mark.parametrize("store", [FolderStore, _Slow])
@pytest.mark.parametrize("cut", [0, 7])
def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(
    cut: int,
    store: type[FolderStore],
    digits: ImageFolder,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "starting_model", lambda *_: _NanFrom(5))
    checkpoints = _open(tmp_path, recipe, digits, (16, 16), store)
    with pytest.raises(StepError, match=r"^the training loss became nan: lower learning_rate"):
        fit(recipe, digits, (16, 16), Notes(), checkpoints, _SignalAt(cut))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00002-batch-00000000.checkpoint"]


class _GreedyFrom(nn.Module):
    """Asks for more memory than there is, from this training step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.network = small_network()
        self.left = step

    def forward(self, images: Tensor) -> Tensor:
        """The network's answers, until that step."""
        self.left -= self.training
        copies = 1 if self.left > 0 else 1 << 40
        return self.network(images.repeat(copies, 1, 1, 1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("step", "left"), [(1, []), (5, ["epoch-00002-batch-00000000.checkpoint"])])
def test_too_little_memory_is_one_line(
    step: int,
    left: list[str],
    digits: ImageFolder,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "starting_model", lambda *_: _GreedyFrom(step))
    checkpoints = _open(tmp_path, recipe, digits, (16, 16), _Slow)
    words = "the memory is too small for resnet18 at 16x16 with batch_size 64: lower batch_size"
    with pytest.raises(StepError, match=words):
        fit(recipe, digits, (16, 16), NullTracker(), checkpoints)
    assert [path.name for path in tmp_path.iterdir()] == left


def test_without_checkpoints_a_signal_says_that_all_is_lost(digits: ImageFolder, recipe: Recipe) -> None:
    words = r"interrupted by SIGTERM in epoch 1, after 2 of its batches; no checkpoint is kept"
    with pytest.raises(Interrupted, match=words):
        fit(recipe, digits, (16, 16), NullTracker(), None, _SignalAt(2))
