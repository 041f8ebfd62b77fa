"""The three approaches: where each starts, and what each changes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from argosy.components.training.data.images import ImageFolder
from argosy.components.training.fitting import fit
from argosy.components.training.network.model import (
    build_model,
    build_optimizer,
    build_schedule,
    starting_model,
    train_mode,
)
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import NullTracker

SIZE = (16, 16)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights for other classes."""
    torch.manual_seed(5)
    model = build_model("resnet18", 4)
    for _ in range(20):
        model(torch.rand(8, 3, *SIZE))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return path


def _changed(before: dict[str, Tensor], after: nn.Module) -> set[str]:
    """The names of parameters and statistics that differ, up to the first dot."""
    state = after.state_dict()
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], state[name])}


def _approach(recipe: Recipe, approach: str, weights: Path) -> Recipe:
    source = "none" if approach == "baseline" else str(weights)
    return recipe.override(approach=approach, weights=source)


def test_feature_extraction_changes_the_head_alone(
    digits: ImageFolder, recipe: Recipe, weights: Path
) -> None:
    recipe = _approach(recipe, "feature_extraction", weights).override(epochs=2)
    fitted = fit(recipe, digits, SIZE, NullTracker())
    # The statistics of batch norm too are those of the file.
    assert _changed(torch.load(weights, weights_only=True), fitted.model) == {"fc"}


def test_fine_tuning_changes_everything(digits: ImageFolder, recipe: Recipe, weights: Path) -> None:
    fitted = fit(_approach(recipe, "fine_tuning", weights), digits, SIZE, NullTracker())
    changed = _changed(torch.load(weights, weights_only=True), fitted.model)
    assert changed == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}


def test_the_head_learns_when_the_backbone_does_not(
    digits: ImageFolder, recipe: Recipe, weights: Path
) -> None:
    recipe = _approach(recipe, "feature_extraction", weights).override(epochs=8, learning_rate=0.01)
    assert fit(recipe, digits, SIZE, NullTracker()).best_val_accuracy > 0.3  # chance is 0.1


def test_training_mode_leaves_frozen_layers_evaluating(recipe: Recipe, weights: Path) -> None:
    model = starting_model(_approach(recipe, "feature_extraction", weights), 4)
    train_mode(model)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 20
    assert not any(norm.training for norm in norms)
    train_mode(free := starting_model(recipe, 4))
    assert all(module.training for module in free.modules())


def test_a_fine_tuned_backbone_learns_slower(recipe: Recipe, weights: Path) -> None:
    recipe = _approach(recipe, "fine_tuning", weights).override(learning_rate=0.01, backbone_rate=0.2)
    model = starting_model(recipe, 4)
    optimizer = build_optimizer(model, recipe)
    schedule = build_schedule(optimizer, recipe, steps_per_epoch=10)
    rates: list[float] = [0.0] * 4
    for _ in range(10):
        rates = [max(pair) for pair in zip(rates, schedule.get_last_lr(), strict=True)]
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.01, 0.01, 0.002, 0.002])
    head = {id(p) for p in model.fc.parameters()}  # type: ignore[union-attr]
    assert {id(p) for group in optimizer.param_groups[:2] for p in group["params"]} == head
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_only_what_learns_is_given_to_the_optimizer(recipe: Recipe, weights: Path) -> None:
    model = starting_model(_approach(recipe, "feature_extraction", weights), 4)
    groups = build_optimizer(model, recipe).param_groups
    assert [p.shape for group in groups for p in group["params"]] == [(4, 512), (4,)]


def test_residual_blocks_may_start_as_the_identity(recipe: Recipe) -> None:
    def last_scales(zero: bool) -> set[float]:
        model = starting_model(recipe.override(zero_init_residual=zero), 4)
        return {v.abs().max().item() for n, v in model.named_parameters() if n.endswith("bn2.weight")}

    assert last_scales(True) == {0.0}
    assert last_scales(False) == {1.0}
