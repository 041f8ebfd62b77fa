"""The networks that a recipe may name, and which of their layers learn."""

from __future__ import annotations

from torch import nn

from argosy.components.training.network.weights import HEAD, import_torchvision, start_from
from argosy.components.training.recipe import ARCHITECTURES, Recipe
from argosy.errors import UsageError


def build_model(architecture: str, classes: int, *, zero_init_residual: bool = False) -> nn.Module:
    """torchvision's network of that name, unchanged, with fresh weights and `classes` outputs (logits).

    Args:
        architecture: one of `ARCHITECTURES`.
        classes: how many outputs.
        zero_init_residual: let every residual block start as the identity (arXiv:1706.02677, section 5.1).

    Raises:
        UsageError: an architecture that is not offered.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture is {architecture!r}; it must be one of {', '.join(ARCHITECTURES)}")
    builder = getattr(import_torchvision().models, architecture)
    model: nn.Module = builder(weights=None, num_classes=classes, zero_init_residual=zero_init_residual)
    return model


def starting_model(recipe: Recipe, classes: int) -> nn.Module:
    """The network as the recipe's approach begins: fresh or trained before, with its backbone free or frozen.

    Raises:
        UsageError: the recipe's weights are not there, or do not fit.
        StepError: they could not be downloaded.
    """
    model = build_model(recipe.architecture, classes, zero_init_residual=recipe.zero_init_residual)
    if recipe.pretrained:
        start_from(model, recipe.weights, recipe.architecture)
    if recipe.approach == "feature_extraction":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(HEAD))
    return model


def train_mode(model: nn.Module) -> None:
    """Training mode for the layers that learn; frozen ones keep evaluating.

    Without it a frozen batch norm would go on to adapt its statistics to the new images.
    """
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
