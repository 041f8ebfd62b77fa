"""The replicas of a model's server: the same done at each, and whether each serves what it was told to.

They are called side by side; a single one is called as if it were alone.  Readiness is that of the versions,
each one itself, not that of the server as a whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from argosy.components.deployment.swap.sole import Place
from argosy.components.shared.triton import Tensor, Triton, TritonError, TritonRefused, VersionState
from argosy.components.shared.triton_deadline import Deadline, patiently
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

T = TypeVar("T")
_AT_ONCE = 16
_POLL_SECONDS = 0.1
# A load answers when it is over; a version that is unknown to the server this long after is not coming.
_GRACE_SECONDS = 5.0
_READY, _UNKNOWN = "READY", VersionState("unknown to the server", "")


@dataclass(frozen=True)
class Tried(Generic[T]):
    """The outcome of a call at one replica: its result, or the error that names the replica."""

    triton: Triton
    result: T | None
    error: ArgosyError | None


def try_each(place: Place, call: Callable[[Triton], T]) -> list[Tried[T]]:
    """Call for every replica; returns when all calls have ended, however each of them did."""

    def tried(triton: Triton) -> Tried[T]:
        try:
            return Tried(triton, call(triton), None)
        except ArgosyError as error:
            return Tried(triton, None, error if len(place.replicas) == 1 else _naming(triton, error))

    if len(place.replicas) == 1:
        return [tried(place.triton)]
    with ThreadPoolExecutor(min(_AT_ONCE, len(place.replicas)), thread_name_prefix="replica") as pool:
        return list(pool.map(tried, place.replicas))


def on_each(place: Place, call: Callable[[Triton], T]) -> list[T]:
    """The results of the call for every replica, in their order.

    Raises:
        StepError: it failed for one or more, which the message names; all calls have ended then.
    """
    outcomes = try_each(place, call)
    errors = [one.error for one in outcomes if one.error is not None]
    if errors:
        raise joined(errors) from errors[0]
    return [one.result for one in outcomes]  # type: ignore[misc]


def joined(errors: Sequence[ArgosyError]) -> ArgosyError:
    """One error for several; refusals stay refusals, for whoever looks at their reasons."""
    if len(errors) == 1:
        return errors[0]
    refused = [error for error in errors if isinstance(error, TritonRefused)]
    if len(refused) == len(errors):
        return TritonRefused(refused[0].action, "; ".join(dict.fromkeys(error.reason for error in refused)))
    kind = TritonError if all(isinstance(error, TritonError) for error in errors) else StepError
    return kind("; ".join(map(str, errors)))


def ready_each(place: Place, deadline: Deadline) -> list[frozenset[int]]:
    """The versions that answer now, at each replica.

    Raises:
        StepError: one does not tell.
    """
    return on_each(place, lambda triton: _ready(place, triton, deadline))


def ready_somewhere(place: Place, deadline: Deadline) -> frozenset[int]:
    """The versions that answer now at any replica; raises as `ready_each`."""
    return frozenset().union(*ready_each(place, deadline))


def ready_everywhere(place: Place, deadline: Deadline) -> frozenset[int]:
    """The versions that answer now at every replica; raises as `ready_each`."""
    first, *others = ready_each(place, deadline)
    return first.intersection(*others)


def answering(place: Place, deadline: Deadline) -> tuple[Place, list[ArgosyError]]:
    """The place with those replicas alone that answer, and what is wrong with the others.

    Several are asked for half of the time at most: the other half belongs to those that answer.

    Raises:
        StepError: none answers.
    """
    asking = deadline if len(place.replicas) == 1 else Deadline.after(deadline.left / 2)
    outcomes = try_each(place, lambda triton: _ready(place, triton, asking))
    errors = [one.error for one in outcomes if one.error is not None]
    alive = [one.triton for one in outcomes if one.error is None]
    if not alive:
        raise joined(errors) from errors[0]
    for error in errors:
        log.warning("one replica is left out: %s", error)
    return place.at(alive), errors


def _ready(place: Place, triton: Triton, deadline: Deadline) -> frozenset[int]:
    return patiently(deadline, lambda: ready_versions(triton.within(deadline.left), place.model))


def _naming(triton: Triton, error: ArgosyError) -> ArgosyError:
    """The error, with the replica's address where its message has none."""
    if isinstance(error, TritonRefused):
        return TritonRefused(f"{error.action} at {triton.url}", error.reason)
    if triton.url in str(error):
        return error
    kind = type(error) if isinstance(error, TritonError) else StepError
    return kind(f"{triton.url}: {error}")


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
        missing = {v: states.get(v, _UNKNOWN) for v in versions if not _is_ready(states.get(v, _UNKNOWN))}
        surplus = [v for v, known in states.items() if _is_ready(known) and v not in versions]
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


def _is_ready(known: VersionState) -> bool:
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
