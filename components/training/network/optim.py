"""AdamW under a one-cycle schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from argosy.components.training.network.weights import HEAD
from argosy.components.training.recipe import Recipe


def build_optimizer(model: nn.Module, recipe: Recipe) -> AdamW:
    """AdamW over what learns; a fine-tuned backbone learns at a share of the head's rate.

    The weights of layers decay, but no vectors: biases and batch-norm parameters.
    """
    return AdamW(list(_groups(model, recipe)), lr=recipe.learning_rate, fused=True)


def build_schedule(optimizer: AdamW, recipe: Recipe, steps_per_epoch: int) -> OneCycleLR:
    """One learning rate a step: up to each group's own, then down to nearly zero (arXiv:1708.07120)."""
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=recipe.warmup_share,
    )


def _groups(model: nn.Module, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """The head first: its rate is the one that is reported."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if recipe.approach == "fine_tuning":
        backbone_rate = recipe.learning_rate * recipe.backbone_rate
        head = [p for name, p in learning if name.startswith(HEAD)]
        backbone = [p for name, p in learning if not name.startswith(HEAD)]
        parts = [(head, recipe.learning_rate), (backbone, backbone_rate)]
    else:
        parts = [([p for _, p in learning], recipe.learning_rate)]
    for parameters, rate in parts:
        yield {
            "params": [p for p in parameters if p.ndim > 1],
            "lr": rate,
            "weight_decay": recipe.weight_decay,
        }
        yield {"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0}
