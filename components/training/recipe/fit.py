"""The training run itself, in the order in which it happens."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from argosy.components.training.recipe.batches import Batches
from argosy.components.training.recipe.checkpoint import Best
from argosy.components.training.recipe.config import Recipe
from argosy.components.training.recipe.dataset import ImageFolder, Split
from argosy.components.training.recipe.engine import Engine
from argosy.components.training.recipe.images import CachedImages, Size, StreamedImages, cache_bytes
from argosy.components.training.recipe.metrics import Tracker
from argosy.components.training.recipe.model import build_model
from argosy.components.training.recipe.optim import build_optimizer, build_schedule
from argosy.components.training.recipe.precision import Precision, choose_precision
from argosy.components.training.recipe.transforms import Augmentation, normalise, stored_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A trained network with the weights of its best epoch, on the CPU, in evaluation mode."""

    model: nn.Module
    best_val_accuracy: float
    best_epoch: int


def fit(recipe: Recipe, data: ImageFolder, size: Size, tracker: Tracker) -> Fitted:
    """Train `recipe` on `data` at `size` (height, width in pixels), and tell `tracker` about each epoch.

    Raises:
        UsageError: the recipe asks for what this machine cannot do.
        StepError: an image cannot be decoded, or the loss is not finite.
    """
    seed_everything(recipe.seed)
    precision = choose_precision(recipe.precision, size)
    train, val = _load(recipe, data, size, precision.device)
    augment = _augmentation(recipe, data, size)
    engine = _engine(recipe, precision, len(data.classes), len(train))
    log.info("training %s on %d images, %s", recipe.architecture, train.samples, precision)

    best = Best()
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        rate = float(engine.schedule.get_last_lr()[0])
        train_loss = engine.train_epoch(train, augment)
        trained = time.perf_counter()
        result = engine.evaluate(val, normalise)
        best.offer(result.accuracy, epoch, engine.model)
        metrics = {
            "best_val_accuracy": best.score,
            "val_accuracy": result.accuracy,
            "val_loss": result.loss,
            "train_loss": train_loss,
            "epoch_time": time.perf_counter() - start,
            "learning_rate": rate,
            "images_per_second": len(train) * train.batch_size / (trained - start),
        }
        tracker.epoch(epoch, metrics)
        log.info("%s", _progress(epoch, recipe.epochs, metrics))
    return Fitted(best.restore(engine.model), best.score, best.epoch)


def seed_everything(seed: int) -> None:
    """Start all global random number generators from `seed`."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _load(recipe: Recipe, data: ImageFolder, size: Size, device: torch.device) -> tuple[Batches, Batches]:
    """Training and validation batches, from memory if both splits fit into the cache."""
    larger = stored_size(size)
    needed = cache_bytes(data.train, larger) + cache_bytes(data.val, size)
    cached = needed <= recipe.cache_gib * 2**30
    how = "cached" if cached else "decoded every epoch"
    log.info("decoded images take %.2f GiB: %s", needed / 2**30, how)

    def source(split: Split, size: Size) -> CachedImages | StreamedImages:
        if not cached:
            return StreamedImages(split, size)
        images = CachedImages.decode(split, size, recipe.workers)
        return images.to(device) if _fits_on(device, needed) else images

    def batches(split: Split, size: Size, seed: int | None) -> Batches:
        return Batches(
            source(split, size),
            batch_size=recipe.batch_size,
            device=device,
            shuffle_seed=seed,
            workers=recipe.workers,
        )

    return batches(data.train, larger, recipe.seed), batches(data.val, size, None)


def _fits_on(device: torch.device, needed: int) -> bool:
    """Whether the cache may live on the GPU: it leaves three quarters of its memory to the network."""
    return device.type == "cuda" and needed * 4 <= torch.cuda.get_device_properties(device).total_memory


def _augmentation(recipe: Recipe, data: ImageFolder, size: Size) -> Augmentation:
    mirror = not data.greyscale if recipe.horizontal_flip == "auto" else recipe.horizontal_flip
    return Augmentation(size, recipe.crop_scale, bool(mirror), torch.Generator().manual_seed(recipe.seed + 1))


def _engine(recipe: Recipe, precision: Precision, classes: int, steps_per_epoch: int) -> Engine:
    model = precision.place(build_model(recipe.architecture, classes))
    optimizer = build_optimizer(model, recipe)
    return Engine(
        model=model,
        criterion=nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        optimizer=optimizer,
        schedule=build_schedule(optimizer, recipe, steps_per_epoch),
        scaler=precision.scaler(),
        precision=precision,
    )


def _progress(epoch: int, epochs: int, metrics: dict[str, float]) -> str:
    return (
        f"epoch {epoch}/{epochs}  train_loss {metrics['train_loss']:.3f}  "
        f"val_loss {metrics['val_loss']:.3f}  val_accuracy {metrics['val_accuracy']:.4f}  "
        f"best {metrics['best_val_accuracy']:.4f}  "
        f"{metrics['images_per_second']:.0f} images/s  {metrics['epoch_time']:.1f} s"
    )
