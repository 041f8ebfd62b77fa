"""The networks that a recipe may name."""

from __future__ import annotations

from torch import nn

from argosy.components.training.recipe.config import ARCHITECTURES
from argosy.components.training.recipe.torchvision_compat import import_torchvision
from argosy.errors import UsageError


def build_model(architecture: str, classes: int) -> nn.Module:
    """torchvision's network of that name with fresh weights and `classes` outputs (logits).

    The last batch norm of each residual block starts at zero, so that a block starts as the identity
    (Goyal et al. 2017, arXiv:1706.02677, section 5.1).

    Raises:
        UsageError: an architecture that is not offered.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture is {architecture!r}; it must be one of {', '.join(ARCHITECTURES)}")
    builder = getattr(import_torchvision().models, architecture)
    model: nn.Module = builder(weights=None, num_classes=classes, zero_init_residual=True)
    return model
