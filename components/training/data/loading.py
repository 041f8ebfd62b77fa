"""Training and validation batches of a data set: decoded once, kept in memory where both halves fit."""

from __future__ import annotations

import logging

import torch

from argosy.components.training.data.batches import Batches
from argosy.components.training.data.dataset import Half, ImageFolder
from argosy.components.training.data.images import CachedImages, Size, StreamedImages, cache_bytes
from argosy.components.training.data.preparation import load_images, stored_sizes
from argosy.components.training.recipe.config import Recipe

log = logging.getLogger(__name__)


def load_batches(
    recipe: Recipe, data: ImageFolder, size: Size, device: torch.device, share: tuple[int, int] = (0, 1)
) -> tuple[Batches, Batches]:
    """Training batches, shuffled and large enough for random crops, and validation batches in order.

    Of each batch this process takes its `share`: which of how many.
    """
    sizes = stored_sizes(size)
    needed = sum(cache_bytes(data.half(half), sizes[half]) for half in sizes)
    in_memory = needed <= recipe.cache_gib * 2**30
    where = "in memory" if in_memory else "on the disk"
    log.info("decoded images take %.2f GiB and are kept %s", needed / 2**30, where)

    def source(half: Half) -> CachedImages | StreamedImages:
        images = load_images(data, half, sizes[half], workers=recipe.workers, in_memory=in_memory)
        if isinstance(images, StreamedImages):
            log.warning("images of %s/ are decoded in every epoch", half)
            return images
        return images.to(device) if _fits_on(device, needed) else images

    def batches(half: Half, seed: int | None) -> Batches:
        return Batches(
            source(half),
            batch_size=recipe.batch_size,
            device=device,
            shuffle_seed=seed,
            workers=recipe.workers,
            share=share,
        )

    return batches("train", recipe.seed), batches("val", None)


def _fits_on(device: torch.device, needed: int) -> bool:
    """Whether the cache may live on the GPU: it leaves three quarters of its memory to the network."""
    return device.type == "cuda" and needed * 4 <= torch.cuda.get_device_properties(device).total_memory
