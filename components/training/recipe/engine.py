"""One epoch of training, and an evaluation. Nothing here waits for the device more than once an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from argosy.components.training.recipe.precision import Precision
from argosy.errors import StepError

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Means over samples, not over batches: a short last batch weighs as much as it is long."""

    loss: float
    accuracy: float
    samples: int


@dataclass(frozen=True)
class Engine:
    """What one optimiser step needs."""

    model: nn.Module
    criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    precision: Precision

    def train_epoch(self, batches: Iterable[Batch], transform: Transform) -> float:
        """Train on every batch once; return the mean loss over the samples.

        Raises:
            StepError: the loss is not finite, or there was no batch.
        """
        self.model.train()
        total = torch.zeros((), device=self.precision.device)
        samples = 0
        for images, labels in batches:
            loss = self._step(transform(images), labels)
            total += loss * len(labels)
            samples += len(labels)
        return _finite(total.item() / max(samples, 1), samples, "training")

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward, update; returns the detached loss."""
        with self.precision.autocast():
            loss: Tensor = self.criterion(self.model(self.precision.arrange(images)), labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()

    @torch.inference_mode()
    def evaluate(self, batches: Iterable[Batch], transform: Transform) -> Evaluation:
        """Mean loss and accuracy over every sample.

        Raises:
            StepError: the loss is not finite, or there was no batch.
        """
        self.model.eval()
        sums = torch.zeros(2, device=self.precision.device)
        samples = 0
        for images, labels in batches:
            with self.precision.autocast():
                logits = self.model(self.precision.arrange(transform(images)))
                batch_loss = self.criterion(logits, labels)
            sums += torch.stack((batch_loss.float() * len(labels), (logits.argmax(1) == labels).sum()))
            samples += len(labels)
        loss_sum, correct = sums.tolist()
        loss = _finite(loss_sum / max(samples, 1), samples, "validation")
        return Evaluation(loss, correct / samples, samples)


def _finite(loss: float, samples: int, what: str) -> float:
    if samples == 0:
        raise StepError(f"there was no {what} image to learn from")
    if not math.isfinite(loss):
        raise StepError(f"the {what} loss became {loss}: lower learning_rate, or set precision to fp32")
    return loss
