"""Only one step at a time decides what Triton serves of a model, or where its aliases point.

The lease is short, so that a killed holder delays others little, and renewed for as long as its block lasts.
A step that is run again with the same owner takes over from its dead predecessor at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.shared import lease
from argosy.components.shared.lease import Holder, Lease
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import ArgosyError, StepError

if TYPE_CHECKING:
    from argosy.components.shared.triton import Triton

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
_RENEW_EVERY = 8.0


@dataclass(frozen=True)
class Place:
    """One model: the server that serves it, and its keys in the bucket that this server reads.

    Attributes:
        triton: the server, or the first of its replicas.
        bucket: what all of them read.
        keys: the model's keys.
        others: the other replicas.
    """

    triton: Triton
    bucket: Bucket
    keys: ModelKeys
    others: tuple[Triton, ...] = ()

    @classmethod
    def of(cls, replicas: Sequence[Triton], bucket: Bucket, keys: ModelKeys) -> Place:
        """A model that one or more replicas serve."""
        first, *others = replicas
        return cls(first, bucket, keys, tuple(others))

    @property
    def replicas(self) -> tuple[Triton, ...]:
        """Every server that serves the model."""
        return (self.triton, *self.others)

    def at(self, replicas: Sequence[Triton]) -> Place:
        """The same model at these replicas alone."""
        return Place.of(replicas, self.bucket, self.keys)

    @property
    def model(self) -> str:
        """The model's name in Triton."""
        return self.keys.model


@dataclass(kw_only=True)
class Kept:
    """A lease that is renewed for as long as its `kept` block lasts."""

    lease: Lease
    lock: threading.Lock = field(default_factory=threading.Lock)
    lost: str = ""

    def renew(self) -> None:
        """Make sure that the right is still ours; to be called before a change that must not happen twice.

        Raises:
            StepError: another step took over, because this one stood still for too long.
        """
        with self.lock:
            if self.lost:
                raise StepError(self.lost)
            self.lease.renew()


@dataclass(kw_only=True)
class Hold(Kept):
    """The right to change what is served at a place, for the length of a `sole` block."""

    place: Place

    def at(self, replicas: Sequence[Triton]) -> Hold:
        """The same right, for these replicas alone."""
        return Hold(lease=self.lease, lock=self.lock, place=self.place.at(replicas))


@contextmanager
def sole(place: Place, owner: str, deadline: Deadline) -> Iterator[Hold]:
    """Hold the serving lease of a model; waits for another holder until the deadline.

    Args:
        place: the model, its server and bucket.
        owner: the workflow's uid; its own lease, left by a step that was killed, is taken over at once.
        deadline: how long to wait.

    Raises:
        StepError: another step held it all the time, or S3 failed.
    """
    with kept(place.bucket, place.keys.lock("serving"), owner, deadline.left) as held:
        yield Hold(lease=held.lease, lock=held.lock, place=place)


@contextmanager
def kept(bucket: Bucket, key: str, owner: str, patience: float) -> Iterator[Kept]:
    """Hold a lease and keep it for the length of the block; waits for another holder, `patience` seconds.

    Raises:
        StepError: another step held it all the time, or S3 failed.
    """
    _reclaim(bucket, key, owner)
    with lease.held(bucket, key, owner, seconds=LEASE_SECONDS, patience=patience) as held:
        mine, over = Kept(lease=held), threading.Event()
        keeper = threading.Thread(target=_keep, args=(mine, over), name="lease", daemon=True)
        keeper.start()
        try:
            yield mine
        finally:
            over.set()
            keeper.join()


def _keep(held: Kept, over: threading.Event) -> None:
    while not over.wait(_RENEW_EVERY):
        try:
            held.renew()
        except ArgosyError as error:
            # S3 may be back for the next renewal; a lease that was taken over is told by the next `renew`.
            log.warning("the lease is not renewed: %s", error)


def _reclaim(bucket: Bucket, key: str, owner: str) -> None:
    """Free the lease where its holder is this very owner: a workflow runs this step once at a time."""
    found = bucket.fetch(key)
    if found is None:
        return
    holder = Holder.decode(key, found.body)
    if holder.owner == owner and holder.seconds:
        log.warning("%s: left by an earlier run of this step, %.0f s ago", key, found.age)
        bucket.write_if_unchanged(key, Holder(owner, holder.token, 0).encode(), found.etag)
