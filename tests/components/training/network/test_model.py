"""Networks, their optimiser and the weights of the best epoch."""

import math
import sys
from importlib.metadata import version

import pytest
import torch
from torch import nn

from argosy.components.training.checkpoints.checkpoint import Best
from argosy.components.training.network import model
from argosy.components.training.network.model import build_model, build_optimizer, build_schedule
from argosy.components.training.recipe import Recipe
from argosy.errors import UsageError


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [("resnet18", 11_181_642), ("resnet34", 21_289_802), ("resnet50", 23_528_522)],
)
def test_the_networks_are_torchvisions(architecture: str, parameters: int) -> None:
    model = build_model(architecture, classes=10)
    assert type(model).__module__ == "torchvision.models.resnet"
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("side", [16, 32, 65])
def test_one_logit_a_class_at_any_size(side: int) -> None:
    model = build_model("resnet18", classes=7).eval()
    assert model(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match="architecture is 'vit'"):
        build_model("vit", 10)


def test_torchvision_is_imported_whole_or_made_whole() -> None:
    torchvision = model.import_torchvision()
    assert torchvision.__version__.startswith(version("torchvision").partition("+")[0])
    assert model.import_torchvision() is torchvision is sys.modules["torchvision"]


def test_vectors_are_not_decayed(recipe: Recipe) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    decayed, plain = build_optimizer(model, recipe).param_groups
    assert decayed["weight_decay"] == recipe.weight_decay
    assert plain["weight_decay"] == 0.0
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[3].weight)}
    assert len(plain["params"]) == 4


def test_the_learning_rate_climbs_for_its_share_and_then_falls(recipe: Recipe) -> None:
    recipe = recipe.override(epochs=10, learning_rate=0.01, warmup_share=0.3)
    optimizer = build_optimizer(nn.Linear(2, 2), recipe)
    schedule = build_schedule(optimizer, recipe, steps_per_epoch=10)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates.index(max(rates)) == 29
    assert max(rates) == pytest.approx(0.01)
    assert rates[-1] < 1e-6
    assert rates[29:] == sorted(rates[29:], reverse=True)


def test_a_single_step_is_a_schedule_too(recipe: Recipe) -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), recipe)
    schedule = build_schedule(optimizer, recipe.override(epochs=1), steps_per_epoch=1)
    optimizer.step()
    schedule.step()
    assert all(math.isfinite(rate) for rate in schedule.get_last_lr())


def test_the_best_epoch_wins_and_the_first_of_equals() -> None:
    model = nn.Linear(1, 1, bias=False)
    best = Best()
    kept = []
    for epoch, score in enumerate([0.5, 0.9, 0.9, 0.7], start=1):
        nn.init.constant_(model.weight, epoch)
        kept.append(best.offer(score, epoch, model))
    assert kept == [True, True, False, False]
    assert (best.score, best.epoch) == (0.9, 2)
    restored = best.restore(model)
    assert restored.weight.item() == 2.0  # type: ignore[union-attr, operator]
    assert not restored.training
