"""Inputs that the gates feed to models: seeded random ones, and real ones that the training run left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from argosy.components.shared.run_files import INPUTS_FILE, LABELS_FILE, RealSamples, read_real_samples
from argosy.components.training.numerical.comparison import Array

__all__ = [
    "BATCHES",
    "INPUTS_FILE",
    "LABELS_FILE",
    "MOST_BYTES",
    "RealSamples",
    "batch_sizes",
    "example_of",
    "random_batches",
    "read_real_samples",
    "real_batches",
]

# Batches of one and of many, of a round number and of an odd one: a batch size that got fixed in the export,
# anywhere in the graph, shows on the first that is not it.
BATCHES = (1, 2, 7, 32)
# Of one batch: memory grows neither with the number of samples nor with their size. PyTorch is half as fast
# again on batches that leave the processor's caches in peace.
MOST_BYTES = 8 * 2**20


def batch_sizes(count: int, sample: tuple[int, ...]) -> Iterator[int]:
    """Sizes of batches that together hold `count` samples: `BATCHES` in turn, within `MOST_BYTES`."""
    fitting = max(1, MOST_BYTES // (4 * math.prod(sample)))
    for size in itertools.cycle(BATCHES):
        if count <= 0:
            return
        taken = min(size, fitting, count)
        yield taken
        count -= taken


def random_batches(count: int, sample: tuple[int, ...], seed: int) -> Iterator[Array]:
    """`count` samples in batches of several sizes, float32, standard normal as prepared inputs are.

    The same seed gives the same samples.
    """
    generator = np.random.default_rng(seed)
    for size in batch_sizes(count, sample):
        yield generator.standard_normal((size, *sample), dtype=np.float32)


def example_of(sample: tuple[int, ...], seed: int) -> Array:
    """Two random samples: of one, tracers and signatures would take the batch for fixed."""
    return np.random.default_rng(seed).standard_normal((2, *sample), dtype=np.float32)


def real_batches(inputs: Array) -> Iterator[Array]:
    """All of `inputs` in batches of several sizes; each is copied into memory when it is asked for."""
    start = 0
    for size in batch_sizes(len(inputs), inputs.shape[1:]):
        yield np.array(inputs[start : start + size])
        start += size
