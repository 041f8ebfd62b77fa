"""Inputs for both versions: validation images of the training, and recorded requests of clients."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from argosy.components.deployment.comparison.traffic import Request
from argosy.components.shared import registry, s3
from argosy.components.shared.run_files import read_real_samples
from argosy.components.shared.triton import ServedModel
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

MOST_RECORDED = 1000
MOST_REQUEST_BYTES = 16 * 2**20
TRAINING_RUN = "pytorch.run_id"  # the tag that Gate 2 puts on a version


@dataclass(frozen=True)
class Sent:
    """The requests, and how many of each kind.

    Attributes:
        left_out: keys below the prefix that were not sent: no .json, or beyond the first thousand.
    """

    requests: tuple[Request, ...]
    images: int
    recorded: int
    left_out: int


def check_prefix(recorded: str) -> None:
    """Raises UsageError where it is neither empty nor s3://BUCKET/PREFIX."""
    bucket, _, prefix = recorded.removeprefix("s3://").partition("/")
    if recorded and not (recorded.startswith("s3://") and bucket and prefix.strip("/")):
        raise UsageError(f"recorded_requests {recorded[:200]!r} is not s3://BUCKET/PREFIX")


def gather(
    client: MlflowClient, version: ModelVersion, served: ServedModel, images: int, recorded: str, folder: Path
) -> Sent:
    """All requests that both versions get.

    Args:
        client: MLflow's own client, which can read artifacts.
        version: the candidate in MLflow, whose tags lead to its training run.
        served: the live version's inputs.
        images: how many validation images at most; 0: none.
        recorded: s3://BUCKET/PREFIX of recorded requests; empty: none.
        folder: for downloads.

    Raises:
        StepError: there is nothing to send, a recorded request cannot be read, or MLflow or S3 failed.
    """
    samples = _images(client, version, served, images, folder) if images else []
    found, left_out = _recorded(recorded) if recorded else ([], 0)
    if not samples and not found:
        raise StepError(
            f"nothing to compare on: the training of version {version.version} of {version.name!r} left no "
            "validation images; give recorded_requests"
        )
    return Sent((*samples, *found), len(samples), len(found), left_out)


def _images(
    client: MlflowClient, version: ModelVersion, served: ServedModel, count: int, folder: Path
) -> list[Request]:
    run_id = version.tags.get(TRAINING_RUN, "")
    if not run_id:
        log.warning("version %s of %s names no training run: no images", version.version, version.name)
        return []
    run = registry.get_run(client, run_id)
    source = served.inputs[0]
    sample = tuple(source.shape[1:])
    if len(served.inputs) != 1 or source.datatype != "FP32" or min(sample, default=0) < 1:
        log.warning("the model does not take one float32 image: the validation images are not sent")
        return []
    real = read_real_samples(client, run.info.run_id, sample, folder)
    if real is None:
        return []
    chosen = np.linspace(0, len(real) - 1, min(count, len(real))).round().astype(np.int64)
    labels = [None] * len(real) if real.labels is None else [int(label) for label in real.labels]
    return [Request({source.name: np.array(real.inputs[at : at + 1])}, labels[at]) for at in chosen]


def _recorded(prefix: str) -> tuple[list[Request], int]:
    """The requests below a prefix, in the order of their keys, and how many keys were left out."""
    name, _, folder = prefix.removeprefix("s3://").partition("/")
    bucket = s3.connect(name)
    keys = [key for key in bucket.keys(folder.rstrip("/") + "/") if not key.endswith("/")]
    bodies = [key for key in keys if key.endswith(".json")]
    chosen = bodies[:MOST_RECORDED]
    if len(chosen) < len(keys):
        log.warning("%s: %d of %d keys are not sent: no .json, or beyond the first %d",
                    prefix, len(keys) - len(chosen), len(keys), MOST_RECORDED)  # fmt: skip
    if not chosen:
        raise StepError(f"recorded_requests: no .json lies below {prefix}")
    return [_read(bucket, key) for key in chosen], len(keys) - len(chosen)


def _read(bucket: s3.Bucket, key: str) -> Request:
    info = bucket.head(key)
    if info is not None and info.size > MOST_REQUEST_BYTES:
        raise StepError(f"{key} in {bucket} has {info.size} bytes, over {MOST_REQUEST_BYTES}")
    found = bucket.read(key)
    if found is None:
        raise StepError(f"{key} vanished from {bucket} while it was read")
    try:
        tensors = json.loads(found[0])["inputs"]
        return Request({str(tensor["name"]): _array(tensor) for tensor in tensors})
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise StepError(
            f"{key} in {bucket} is not the JSON of an inference request ({type(error).__name__}: {error}): "
            'it looks like {"inputs": [{"name": ..., "shape": ..., "datatype": ..., "data": [...]}]}'
        ) from error


def _array(tensor: dict[str, Any]) -> np.ndarray:
    dtype = triton_to_np_dtype(tensor["datatype"])
    if dtype is None or dtype is np.object_:
        raise ValueError(f"datatype {tensor['datatype']!r}: only numbers can be sent")
    shape = [int(size) for size in tensor["shape"]]
    return np.asarray(tensor["data"], dtype=dtype).reshape(shape)
