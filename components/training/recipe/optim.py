"""AdamW under a one-cycle schedule."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from argosy.components.training.recipe.config import Recipe


def build_optimizer(model: nn.Module, recipe: Recipe) -> AdamW:
    """AdamW that decays the weights of layers, but no vectors: biases and batch-norm parameters."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=recipe.learning_rate, fused=True)


def build_schedule(optimizer: AdamW, recipe: Recipe, steps_per_epoch: int) -> OneCycleLR:
    """One learning rate a step: up to `learning_rate`, then down to nearly zero (arXiv:1708.07120)."""
    return OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=recipe.warmup_share,
    )
