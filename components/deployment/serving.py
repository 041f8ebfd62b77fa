"""Bringing a published version into service, without taking the served one out of it.

Triton loads a version beside those it serves and switches when the new one is ready, so a load that fails
leaves everything as it was.  config.pbtxt tells it to serve the two latest versions: the new one and the one
before, which clients go on using until the new one is verified.  Two cases need more than that policy: a
forced version that is not among the latest two, and a neighbour that cannot be loaded and would spoil every
load.  Both load again with a policy that names the versions.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tenacity import RetryCallState, Retrying, before_sleep_log, retry_if_exception_type, wait_exponential
from tritonclient.utils import triton_to_np_dtype

from argosy.components.shared.triton import Tensor, Triton, TritonRefused, TritonUnreachable
from argosy.errors import StepError

log = logging.getLogger(__name__)

# Where versions are named, so many served ones stay besides the new one; each costs a model's memory.
KEEP_SERVED = 3
_UNREACHABLE_SECONDS = 60.0
_POLL_SECONDS = 0.2
# A load answers when it is over; a version that is unknown to the server this long after is not coming.
_GRACE_SECONDS = 5.0
_BROKEN = re.compile(r"version (\d+) is at UNAVAILABLE state")


@dataclass(frozen=True)
class Deadline:
    """A moment of the monotonic clock by which everything must be done."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment that lies `seconds` ahead."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def left(self) -> float:
        """Seconds until then; never below a tenth, so that a call can still be made and fail by itself."""
        return max(self.at - time.monotonic(), 0.1)

    @property
    def passed(self) -> bool:
        """Whether the moment is over."""
        return time.monotonic() >= self.at


@dataclass(frozen=True)
class Target:
    """A version that is to be served, and where."""

    triton: Triton
    model: str
    version: int

    def served(self) -> list[int]:
        """The other versions of the model that answer now, lowest first."""
        states = self.triton.index(self.model).items()
        return sorted(v for v, known in states if known.state == "READY" and v != self.version)


def bring_into_service(target: Target, seconds: float) -> None:
    """Load a published version, wait until exactly it is ready, and run one inference on it.

    Raises:
        StepError: Triton refused it (with Triton's reason), or it was not ready within `seconds`.
    """
    deadline = Deadline.after(seconds)
    served = _patiently(deadline, target.served)
    try:
        _load(target, served, deadline)
        wait_ready(target, deadline)
        smoke_test(target)
    except StepError as error:
        still = ", ".join(str(version) for version in served)
        left = f"still serving: version {still}" if still else "no version was serving before"
        raise StepError(
            f"version {target.version} of {target.model!r} is not in service ({left}): {error}"
        ) from error
    log.info("version %d of %s is in service beside %s", target.version, target.model, served or "no other")


def wait_ready(target: Target, deadline: Deadline) -> None:
    """Wait until the version itself, not the server, is ready.

    Raises:
        StepError: Triton gave it up, does not know it, or the deadline passed; with Triton's own reason.
    """
    grace = Deadline.after(min(_GRACE_SECONDS, deadline.left))
    while not target.triton.version_ready(target.model, target.version):
        known = target.triton.index(target.model).get(target.version)
        loading = known is not None and known.state in ("LOADING", "READY")
        if deadline.passed or (grace.passed and not loading):
            state = f"{known.state} {known.reason}".strip() if known else "unknown to the server"
            raise StepError(
                f"it did not get ready within {deadline.seconds:.0f} s: it is {state}; does Triton read the "
                "bucket and prefix that the version was published to?"
            )
        time.sleep(_POLL_SECONDS)


def smoke_test(target: Target) -> None:
    """One inference on zeros: a version may be ready and still fail on its first request.

    A model whose inputs have sizes that only its users know, or are text, is left to verify-deployment.

    Raises:
        StepError: the inference failed.
    """
    inputs = target.triton.describe(target.model, target.version).inputs
    zeros = {tensor.name: _zeros(tensor) for tensor in inputs}
    known = {name: array for name, array in zeros.items() if array is not None}
    if len(known) < len(inputs):
        log.info("no smoke inference: the sizes of %s are for its users to choose", target.model)
        return
    target.triton.infer(target.model, target.version, known)


def _load(target: Target, served: list[int], deadline: Deadline) -> None:
    """Load by the model's own policy first; name the versions only where that does not bring this one."""
    try:
        _patiently(deadline, lambda: target.triton.load(target.model, deadline.left))
    except TritonRefused as error:
        broken = {int(number) for number in _BROKEN.findall(error.reason)}
        if not broken or target.version in broken:
            raise
        log.warning("Triton stumbled over other versions, %s: %s", sorted(broken), error.reason)
    if target.triton.version_ready(target.model, target.version):
        return
    keep = served[-KEEP_SERVED:]
    log.info("loading version %d by name, beside %s", target.version, keep or "no other")
    target.triton.load(target.model, deadline.left, _naming(target, keep))


def _naming(target: Target, keep: list[int]) -> dict[str, Any]:
    """A configuration that serves this version and those to keep, and no other.

    It replaces config.pbtxt, so it starts from the one that a served version runs with.  Where none is served
    Triton completes the rest from the model.
    """
    if keep:
        config = target.triton.config(target.model, keep[-1])
    else:
        config = {"name": target.model, "backend": "onnxruntime", "instance_group": [{"count": 1}]}
    config["version_policy"] = {"specific": {"versions": sorted([*keep, target.version])}}
    return config


def _patiently(deadline: Deadline, call: Callable[[], Any]) -> Any:
    """Call again while nobody answers, for a server that is just restarting; never past the deadline."""
    last = min(time.monotonic() + _UNREACHABLE_SECONDS, deadline.at)

    def stop(state: RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep >= last

    tries = Retrying(
        retry=retry_if_exception_type(TritonUnreachable),
        stop=stop,
        wait=wait_exponential(multiplier=0.5, max=5),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    return tries(call)


def _zeros(tensor: Tensor) -> np.ndarray | None:
    dtype = triton_to_np_dtype(tensor.datatype)
    # Only the first dimension, the batch, may be chosen freely.
    if dtype is None or dtype is np.object_ or any(size < 0 for size in tensor.shape[1:]):
        return None
    return np.zeros([max(size, 1) for size in tensor.shape], dtype)
