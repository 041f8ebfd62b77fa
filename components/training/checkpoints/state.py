"""Everything that the next step of a training depends on, as one thing that can be saved and taken up again.

The order of the images is not among it: it follows from the seed and the epoch (see `batches.py`).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from argosy.components.training.checkpoints.checkpoint import Position
from argosy.components.training.network.engine import Engine, Running


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


@dataclass
class TrainingState:
    """A training between two steps.

    Attributes:
        engine: model, optimiser, schedule and scaler.
        augmentation: the generator of the random changes of images.
        best: the best weights so far.
        epoch: the epoch under way, counted from 1.
        running: what this epoch has added up.
        history: the metrics of the epochs before it.
    """

    engine: Engine
    augmentation: torch.Generator
    best: Best = field(default_factory=Best)
    epoch: int = 1
    running: Running = field(default_factory=Running)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def position(self) -> Position:
        """Where the training is."""
        return Position(self.epoch, self.running.batches)

    def end_epoch(self, metrics: dict[str, float]) -> None:
        """Note the metrics of the epoch under way, and begin the next one."""
        self.history.append(metrics)
        self.epoch += 1
        self.running = Running()

    def snapshot(self) -> dict[str, Any]:
        """A copy on the CPU, of tensors, numbers, text and containers only; later steps do not change it."""
        engine = self.engine
        return {
            "model": _copied(engine.model.state_dict()),
            "optimizer": _copied(engine.optimizer.state_dict()),
            "schedule": _copied(engine.schedule.state_dict()),
            "scaler": _copied(engine.scaler.state_dict()),
            "best": self.best.state_dict(),
            "epoch": self.epoch,
            "running": _copied(vars(self.running)),
            "history": _copied(self.history),
            "generators": {**_global_generators(), "augmentation": self.augmentation.get_state()},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Become what `snapshot` copied.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: it is the snapshot of something else.
        """
        engine = self.engine
        engine.model.load_state_dict(saved["model"])
        engine.optimizer.load_state_dict(saved["optimizer"])
        engine.schedule.load_state_dict(saved["schedule"])
        engine.scaler.load_state_dict(saved["scaler"])
        self.best.load_state_dict(saved["best"])
        self.epoch, self.history = saved["epoch"], saved["history"]
        self.running = Running(**saved["running"])
        self.augmentation.set_state(saved["generators"]["augmentation"])
        _set_global_generators(saved["generators"])


def _global_generators() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators."""
    numpy: dict[str, Any] = dict(np.random.get_state(legacy=False))
    key = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": {**numpy, "state": {**numpy["state"], "key": key}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_global_generators(saved: dict[str, Any]) -> None:
    numpy = saved["numpy"]
    key = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})
    random.setstate(saved["python"])
    torch.set_rng_state(saved["torch"])
    # A retry may land on a machine with another number of GPUs; theirs is the only state that is lost then.
    if saved["cuda"] and len(saved["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(saved["cuda"])


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value
