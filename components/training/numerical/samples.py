"""What the gates feed to models: seeded random inputs, and real ones that the training run left."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow.tracking import MlflowClient

from argosy.components.shared.registry import mlflow_errors
from argosy.components.training.export.models import download
from argosy.components.training.numerical.predictors import Array
from argosy.errors import StepError

log = logging.getLogger(__name__)

INPUTS_FILE, LABELS_FILE = "validation_inputs.npy", "validation_labels.npy"

# Batches of one and of many, of a round number and of an odd one: a batch size that got fixed in the export,
# anywhere in the graph, shows on the first that is not it.
BATCHES = (1, 2, 7, 32)
# Of one batch: memory grows neither with the number of samples nor with their size. PyTorch is half as fast
# again on batches that leave the processor's caches in peace.
MOST_BYTES = 8 * 2**20


@dataclass(frozen=True)
class RealSamples:
    """Validation samples as the model gets them.

    Attributes:
        inputs: (N, *sample), float32, read from disk as needed.
        labels: (N,), the index of each sample's class; None where the run tells none.
    """

    inputs: Array
    labels: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.inputs)

    def part(self, rows: slice) -> RealSamples:
        """Some of the samples."""
        return RealSamples(self.inputs[rows], None if self.labels is None else self.labels[rows])


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


def read_real_samples(
    client: MlflowClient, run_id: str, sample: tuple[int, ...], folder: Path
) -> RealSamples | None:
    """The validation samples that a training run holds, downloaded into `folder`; None where it holds none.

    Raises:
        StepError: they are not what the model takes, or MLflow failed.
    """
    with mlflow_errors(f"list the artifacts of run {run_id}"):
        present = {entry.path for entry in client.list_artifacts(run_id)}
    if INPUTS_FILE not in present:
        log.warning("run %s holds no %s: random inputs must do", run_id, INPUTS_FILE)
        return None
    inputs = _read(download(run_id, INPUTS_FILE, folder))
    if inputs.dtype != np.float32 or inputs.shape[1:] != sample or not len(inputs):
        raise StepError(
            f"{INPUTS_FILE} of run {run_id} holds {inputs.dtype} {inputs.shape}; "
            f"the model takes float32 (N, {', '.join(map(str, sample))})"
        )
    if LABELS_FILE not in present:
        return RealSamples(inputs, None)
    labels = _read(download(run_id, LABELS_FILE, folder))
    if labels.shape != inputs.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise StepError(
            f"{LABELS_FILE} of run {run_id} holds {labels.dtype} {labels.shape}; "
            f"{len(inputs)} whole numbers belong to the inputs"
        )
    return RealSamples(inputs, labels.astype(np.int64))


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise StepError(f"{path.name} is no NumPy array: {error}") from error
