"""The whole loop on real digits."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from argosy.components.training import fitting as module
from argosy.components.training.data.images import ImageFolder, open_folder
from argosy.components.training.fitting import fit
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import NullTracker
from argosy.errors import StepError
from tests.components.training.small import small_network

SIZE = (16, 16)


class _Notes:
    """Keeps what the loop reports."""

    def __init__(self) -> None:
        self.epochs: list[tuple[int, dict[str, float]]] = []

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self.epochs.append((number, dict(metrics)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network, where the loop around it is what is asked."""
    monkeypatch.setattr(module, "starting_model", small_network)


@pytest.mark.usefixtures("small")
def test_it_learns_and_reports_every_epoch(digits: ImageFolder, recipe: Recipe) -> None:
    notes = _Notes()
    fitted = fit(recipe.override(epochs=5, batch_size=16, learning_rate=0.02), digits, SIZE, notes)
    numbers, metrics = zip(*notes.epochs, strict=True)
    assert numbers == (1, 2, 3, 4, 5)
    assert set(metrics[0]) == {
        "best_val_accuracy",
        "val_accuracy",
        "val_loss",
        "train_loss",
        "epoch_time",
        "learning_rate",
        "images_per_second",
    }
    assert metrics[-1]["train_loss"] < 0.8 * metrics[0]["train_loss"]
    accuracies = [m["val_accuracy"] for m in metrics]
    assert [m["best_val_accuracy"] for m in metrics] == [max(accuracies[: n + 1]) for n in range(5)]
    assert fitted.best_val_accuracy == max(accuracies) > 0.3  # chance is 0.1
    assert fitted.best_epoch == accuracies.index(max(accuracies)) + 1


def test_the_model_is_that_of_the_best_epoch_ready_to_be_stored(digits: ImageFolder, recipe: Recipe) -> None:
    model = fit(recipe, digits, SIZE, NullTracker()).model
    assert not model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert model(torch.zeros(1, 3, *SIZE)).shape == (1, 10)


@pytest.mark.usefixtures("small")
def test_the_seed_decides_everything(folder: Path, recipe: Recipe) -> None:
    data = open_folder(folder)

    def weights(seed: int) -> torch.Tensor:
        model = fit(recipe.override(seed=seed, batch_size=2), data, SIZE, NullTracker()).model
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@pytest.mark.usefixtures("small")
def test_without_a_cache_it_learns_the_same(digits: ImageFolder, recipe: Recipe) -> None:
    cached, streamed = _Notes(), _Notes()
    fit(recipe, digits, SIZE, cached)
    fit(recipe.override(cache_gib=0), digits, SIZE, streamed)
    # Another order of the same images: the numbers are alike, not equal.
    assert streamed.epochs[0][1]["train_loss"] == pytest.approx(cached.epochs[0][1]["train_loss"], rel=0.2)


@pytest.mark.usefixtures("small")
def test_bf16_and_random_crops_learn_too(digits: ImageFolder, recipe: Recipe) -> None:
    notes = _Notes()
    recipe = recipe.override(precision="bf16", horizontal_flip=False, epochs=2)
    fit(recipe, digits, (64, 64), notes)
    assert notes.epochs[1][1]["train_loss"] < notes.epochs[0][1]["train_loss"]


def test_a_broken_image_is_named(folder: Path, recipe: Recipe) -> None:
    broken = next((folder / "train" / "digit-0").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(StepError, match=f"{broken.name} cannot be decoded"):
        fit(recipe, open_folder(folder), SIZE, NullTracker())
