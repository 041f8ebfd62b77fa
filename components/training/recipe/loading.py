"""Training and validation batches of a data set: decoded once where both splits fit, else each epoch."""

from __future__ import annotations

import logging

import torch

from argosy.components.training.recipe.batches import Batches
from argosy.components.training.recipe.config import Recipe
from argosy.components.training.recipe.dataset import ImageFolder, Split
from argosy.components.training.recipe.images import CachedImages, Size, StreamedImages, cache_bytes
from argosy.components.training.recipe.transforms import stored_size

log = logging.getLogger(__name__)


def load_batches(
    recipe: Recipe, data: ImageFolder, size: Size, device: torch.device
) -> tuple[Batches, Batches]:
    """Training batches, shuffled and large enough for random crops, and validation batches in order."""
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
