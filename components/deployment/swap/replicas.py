"""The same to each replica of a model's server, side by side; a single one is called as if it were alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from argosy.components.deployment.swap.readiness import ready_versions
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared.triton import Triton, TritonError, TritonRefused
from argosy.components.shared.triton_deadline import Deadline, patiently
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

T = TypeVar("T")
_AT_ONCE = 16


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
