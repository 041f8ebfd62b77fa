"""Batch-norm statistics that fit the weights: measured anew before each evaluation.

While it learns, a network normalises by each batch. An evaluation needs fixed means and variances instead,
and the running averages that are kept for it lag behind weights that change fast: in the first epochs of a
training that costs most of the accuracy. Measuring them on some images with the weights at rest does not
(Wu and Johnson 2021, arXiv:2105.07576, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from argosy.components.training.network.engine import Batch, Engine, Transform, carry_on
from argosy.components.training.network.model import train_mode


@torch.no_grad()
def settle(
    engine: Engine, batches: Iterable[Batch], transform: Transform, between: Callable[[], None] = carry_on
) -> None:
    """Replace the statistics of every batch norm that learns by their means over `batches`.

    The weights stay as they are, and later training goes on from the new statistics. It is the plain model
    that computes, not a compiled one, which would have to be compiled for this once more.

    Args:
        engine: the model, and how it computes.
        batches: images to measure on; a few hundred are enough.
        transform: prepares the images of a batch as they are for an evaluation.
        between: called after each batch.
    """
    train_mode(engine.model)
    norms = [m for m in engine.model.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    if not norms:
        return  # no network of ours, or a frozen one
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    device = engine.precision.device
    try:
        # What the network draws here leaves no trace: an evaluation that is cut off is begun anew.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            for images, _ in batches:
                with engine.precision.autocast():
                    engine.model(engine.precision.arrange(transform(images)))
                between()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def statistics(model: nn.Module) -> list[Tensor]:
    """The means and variances of every batch norm that learns: the tensors themselves."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.weight.requires_grad]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
