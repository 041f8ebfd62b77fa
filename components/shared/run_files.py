"""Files that a run holds in MLflow: any of them by name, and the validation samples of a training."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from argosy.components.shared.registry import mlflow_errors
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

INPUTS_FILE, LABELS_FILE = "validation_inputs.npy", "validation_labels.npy"

Array = npt.NDArray[np.float32]


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


def download(run_id: str, artifact: str, folder: Path) -> Path:
    """Download one artifact of a run into `folder`.

    Raises:
        StepError: the run has no such artifact, or MLflow failed.
    """
    import mlflow.artifacts

    with mlflow_errors(f"download {artifact} of run {run_id}"):
        return Path(
            mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=artifact, dst_path=str(folder))
        )


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
        log.warning("run %s holds no %s", run_id, INPUTS_FILE)
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
