"""Whether Triton serves the versions that it was told to: each one itself, not the server as a whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from argosy.components.shared.triton import Tensor, Triton, VersionState
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import StepError

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
# A load answers when it is over; a version that is unknown to the server this long after is not coming.
_GRACE_SECONDS = 5.0
_READY, _UNKNOWN = "READY", VersionState("unknown to the server", "")


def ready_versions(triton: Triton, model: str) -> frozenset[int]:
    """The versions of a model that answer now.

    Raises:
        StepError: the server does not tell.
    """
    return frozenset(v for v, known in triton.index(model).items() if known.state == _READY)


def wait_settled(triton: Triton, model: str, versions: Collection[int], deadline: Deadline) -> None:
    """Wait until each of these versions is ready, and no other.

    Raises:
        StepError: Triton gave one up, does not know it, or the deadline passed; with Triton's own reason.
    """
    grace = Deadline.after(min(_GRACE_SECONDS, deadline.left))
    while True:
        states = triton.within(deadline.left).index(model)
        missing = {v: states.get(v, _UNKNOWN) for v in versions if not _ready(states.get(v, _UNKNOWN))}
        surplus = [v for v, known in states.items() if _ready(known) and v not in versions]
        if not missing and not surplus:
            return
        given_up = grace.passed and any(known.state != "LOADING" for known in missing.values())
        if deadline.passed or given_up:
            raise StepError(_complaint(missing, surplus, deadline))
        time.sleep(_POLL_SECONDS)


def smoke_test(triton: Triton, model: str, version: int) -> None:
    """One inference on zeros: a version may be ready and still fail on its first request.

    A model whose inputs have sizes that only its users know, or are text, is left to verify-deployment.

    Raises:
        StepError: the inference failed.
    """
    inputs = triton.describe(model, version).inputs
    zeros = {tensor.name: _zeros(tensor) for tensor in inputs}
    known = {name: array for name, array in zeros.items() if array is not None}
    if len(known) < len(inputs):
        log.info("no smoke inference: the sizes of %s are for its users to choose", model)
        return
    triton.infer(model, version, known)


def _ready(known: VersionState) -> bool:
    return known.state == _READY


def _complaint(missing: dict[int, VersionState], surplus: list[int], deadline: Deadline) -> str:
    if not missing:
        return f"version {min(surplus)} was not unloaded within {deadline.seconds:.0f} s"
    version, known = min(missing.items())
    return (
        f"version {version} did not get ready within {deadline.seconds:.0f} s: it is "
        f"{f'{known.state} {known.reason}'.strip()}; does Triton read the bucket and prefix that it was "
        "published to?"
    )


def _zeros(tensor: Tensor) -> np.ndarray | None:
    dtype = triton_to_np_dtype(tensor.datatype)
    # Only the first dimension, the batch, may be chosen freely.
    if dtype is None or dtype is np.object_ or any(size < 0 for size in tensor.shape[1:]):
        return None
    return np.zeros([max(size, 1) for size in tensor.shape], dtype)
