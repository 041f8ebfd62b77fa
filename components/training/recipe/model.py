"""The networks that a recipe may name."""

from __future__ import annotations

from torch import nn

from argosy.components.training.recipe.config import ARCHITECTURES
from argosy.components.training.recipe.torchvision_compat import import_torchvision
from argosy.errors import UsageError


def build_model(architecture: str, classes: int) -> nn.Module:
    """torchvision's network of that name, unchanged, with fresh weights and `classes` outputs (logits).

    Residual blocks do not start at zero: that may pay in long trainings, and costs the first epochs of short
    ones.

    Raises:
        UsageError: an architecture that is not offered.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture is {architecture!r}; it must be one of {', '.join(ARCHITECTURES)}")
    builder = getattr(import_torchvision().models, architecture)
    model: nn.Module = builder(weights=None, num_classes=classes)
    return model
