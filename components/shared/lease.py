"""Mutual exclusion between steps on different machines: one small S3 object, written conditionally.

    with lease.held(bucket, keys.lock("serving"), owner, seconds=60, patience=300):
        ...

Its holder is written in the object, together with a number that nobody else has and the seconds after
which others may take it over: a holder that was killed delays the others, and never stops them.  Ages are
the difference between two of the server's own times, so a wrong clock on any machine does not matter.

| the object | what a taker does |
| --- | --- |
| absent | writes it, if it is still absent |
| free, or older than the seconds in it | writes it, if it is still the same |
| younger | waits with a growing, random pause, up to `patience` seconds |

It is advisory: a holder that is stopped for longer than its seconds does not notice by itself.  Where that
matters, call `renew` before the step that must not happen twice.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from argosy.components.shared.s3 import Bucket, Stored
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

# The server tells times in whole seconds, so an age may be wrong by one.
_RESOLUTION = 1.0
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Holder:
    """The lease as the object has it; with 0 seconds it is free.

    The owner is for people.  The token is another one in every writing, so no state of the object ever comes
    back with the same entity tag, and equal bytes mean that this very writing arrived.
    """

    owner: str
    token: str
    seconds: float

    def encode(self) -> bytes:
        """The object's bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, key: str, body: bytes) -> Holder:
        """The reverse of `encode`.

        Raises:
            StepError: it is something else.
        """
        try:
            fields = json.loads(body)
            return cls(str(fields["owner"]), str(fields["token"]), float(fields["seconds"]))
        except (ValueError, TypeError, KeyError) as error:
            raise StepError(f"{key} is not a lease ({error}): delete it if no step uses it") from error


@dataclass
class Lease:
    """A lease that this process took; `etag` is that of the object as it last wrote it."""

    bucket: Bucket
    key: str
    holder: Holder
    etag: str

    def renew(self) -> None:
        """Begin its seconds anew.

        Raises:
            StepError: it took too long, and another took it over; or S3 failed.
        """
        if not self._write(self.holder.seconds):
            raise StepError(
                f"{self.key}: held for more than {self.holder.seconds:.0f} s, and taken over by another; "
                "run the step again"
            )

    def release(self) -> None:
        """Free it, if it is still ours.  A failure is only logged: others take it over when it is old."""
        owner, seconds = self.holder.owner, self.holder.seconds
        try:
            if not self._write(0):
                log.warning("%s was taken over before %s released it", self.key, owner)
        except ArgosyError as error:
            log.warning("%s is not released, and free in %.0f s: %s", self.key, seconds, error)

    def _write(self, seconds: float) -> bool:
        holder = Holder(self.holder.owner, uuid.uuid4().hex, seconds)
        etag = _put(self.bucket, self.key, holder, self.etag)
        if etag is None:
            return False
        self.holder, self.etag = holder, etag
        return True


@contextmanager
def held(bucket: Bucket, key: str, owner: str, *, seconds: float, patience: float) -> Iterator[Lease]:
    """Hold the lease `key` for the length of the block; not re-entrant, whoever the owner is.

    Args:
        bucket: where the object lies.
        key: the object, as `ModelKeys.lock` names it.
        owner: who holds it, for the message that the others get: the workflow's uid.
        seconds: others may take it over when this has passed; longer than the block ever takes.
        patience: how long to wait for another holder, in seconds.

    Raises:
        StepError: another held it all the time (the message tells who, and for how long), or S3 failed.
    """
    lease = _take(bucket, key, owner, seconds, patience)
    try:
        yield lease
    finally:
        lease.release()


def _take(bucket: Bucket, key: str, owner: str, seconds: float, patience: float) -> Lease:
    if seconds <= 0:
        raise ValueError(f"a lease for {seconds} seconds holds nothing")
    tries = Retrying(
        retry=retry_if_result(lambda lease: lease is None),
        stop=stop_after_delay(patience),
        wait=wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE),
    )
    try:
        lease: Lease | None = tries(_try, bucket, key, owner, seconds)
    except RetryError as error:
        raise StepError(f"{key} is not free after {patience:.0f} s: {_told(bucket, key)}") from error
    assert lease is not None  # else tenacity had raised
    return lease


def _try(bucket: Bucket, key: str, owner: str, seconds: float) -> Lease | None:
    found = bucket.fetch(key)
    if found and not _free(key, found):
        return None
    holder = Holder(owner, uuid.uuid4().hex, seconds)
    etag = _put(bucket, key, holder, found.etag if found else None)
    return None if etag is None else Lease(bucket, key, holder, etag)


def _free(key: str, found: Stored) -> bool:
    holder = Holder.decode(key, found.body)
    if not holder.seconds:
        return True
    if found.age <= holder.seconds + _RESOLUTION:
        return False
    log.warning("%s: taken over from %s, who took it %.0f s ago", key, holder.owner, found.age)
    return True


def _put(bucket: Bucket, key: str, holder: Holder, etag: str | None) -> str | None:
    """Write the object if it is absent (no `etag`) or unchanged; its new entity tag, None where it is not.

    Whoever is refused looks again: the first answer may have been lost, and the writing that S3 refused be
    the client's second try of one that had arrived.
    """
    body = holder.encode()
    if etag is None:
        bucket.write_if_absent(key, body)
    else:
        bucket.write_if_unchanged(key, body, etag)
    found = bucket.fetch(key)
    return found.etag if found and found.body == body else None


def _told(bucket: Bucket, key: str) -> str:
    """Its holder, for a message."""
    found = bucket.fetch(key)
    if found is None:
        return "others keep taking it; run the step again"
    holder = Holder.decode(key, found.body)
    if not holder.seconds:
        return f"{holder.owner} has just released it; run the step again"
    return f"{holder.owner} took it {found.age:.0f} s ago, and may hold it for {holder.seconds:.0f} s"
