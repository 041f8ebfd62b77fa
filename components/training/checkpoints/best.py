"""Keeps the weights of the best epoch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Best:
    """The weights at the highest score so far, copied out of the model; the earliest epoch wins a tie."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.epoch = 0
        self._weights: dict[str, Tensor] = {}

    def offer(self, score: float, epoch: int, model: nn.Module) -> bool:
        """Copy the model's weights if `score` beats every earlier one; return whether it did."""
        if not score > self.score:
            return False
        self.score, self.epoch = score, epoch
        self._weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        return True

    def restore(self, model: nn.Module) -> nn.Module:
        """The model on the CPU, in its plain layout, in evaluation mode, with the best weights.

        Raises:
            RuntimeError: nothing was offered, or the model is of another shape.
        """
        model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        model.load_state_dict(self._weights)
        return model.eval()

    def state_dict(self) -> dict[str, Any]:
        """Score, epoch and weights; the weights are replaced later, never changed."""
        return {"score": self.score, "epoch": self.epoch, "weights": self._weights}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.score, self.epoch, self._weights = saved["score"], saved["epoch"], saved["weights"]
