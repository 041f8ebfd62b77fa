"""A network that trains in milliseconds, and one that keeps what a training reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

# What differs from run to run although the training is the same.
TIMES = ("epoch_time", "images_per_second")


def small_network(*_: Any, **__: Any) -> nn.Module:
    """A network of ten classes whose steps depend on running statistics and on random numbers."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


class Notes:
    """Keeps the metrics of every epoch; an epoch that is told twice must be told the same."""

    def __init__(self) -> None:
        self.epochs: dict[int, dict[str, float]] = {}

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Keep them, without what depends on the clock."""
        told = {name: value for name, value in metrics.items() if name not in TIMES}
        assert self.epochs.setdefault(number, told) == told


def weights(model: nn.Module) -> torch.Tensor:
    """Every number in the model, parameters and buffers, in one vector."""
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])
