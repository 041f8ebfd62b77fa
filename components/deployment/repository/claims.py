"""Version numbers are claimed before anything is uploaded, so that two deployments never share one.

A claim is one small object, written only if it does not exist.  It names the workflow that owns the version
and the bytes that it is for.  It stays after the version is published, and after it is pruned: a number is
never given twice.

| the claim says | and the repository has | who may publish the version |
| --- | --- | --- |
| an owner | nothing | that owner, also with other bytes |
| an owner | the claim's bytes | nobody needs to: it is published |
| an owner | other bytes | that owner, if it is told to replace |
| that it was pruned | nothing | nobody, ever |

A version may lie in the archive: then its upload brings it back.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone

from argosy.components.deployment.model.layout import ModelKeys, version_number
from argosy.components.deployment.repository.published import immutable, published_sha256, published_versions
from argosy.components.deployment.repository.records import is_over, was_rolled_back
from argosy.components.shared.s3 import Bucket, Stored
from argosy.errors import StepError

__all__ = [
    "IN_FLIGHT_SECONDS",
    "Claim",
    "claim_forced",
    "claim_next",
    "claimed_versions",
    "mark_pruned",
    "published_sha256",
    "published_versions",
    "read_claim",
    "take",
    "versions_of",
]

log = logging.getLogger(__name__)

ATTEMPTS = 50
# A deployment that claimed its version longer ago has been killed, or is over.
IN_FLIGHT_SECONDS = 3600.0


@dataclass(frozen=True)
class Claim:
    """Who owns a version of a model in Triton's repository, and for which MLflow version and bytes.

    Attributes:
        owner: the workflow's uid.
        model_version: the version in MLflow.
        model_sha256: of the model's bytes.
        claimed_at: when it was written, by the clock of whoever wrote it: for people.
        pruned_at: when the version was removed from the repository, if it was.
        archived_at: when it went from the repository into the archive, if it lies there.
    """

    owner: str
    model_version: str
    model_sha256: str
    claimed_at: str = ""
    pruned_at: str = ""
    archived_at: str = ""

    def encode(self) -> bytes:
        """The claim's object, stamped with the time of writing."""
        return json.dumps(asdict(replace(self, claimed_at=self.claimed_at or _now())), indent=2).encode()


def read_claim(bucket: Bucket, keys: ModelKeys, version: int) -> Claim | None:
    """The claim on a version; None where nobody claimed it.

    Raises:
        StepError: the object is not a claim.
    """
    found = _fetch(bucket, keys, version)
    return None if found is None else found[0]


def claimed_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    """Every version number that is or was claimed."""
    names = (key[len(keys.claims) :].removesuffix(".json") for key in bucket.keys(keys.claims))
    return {number for name in names if (number := version_number(name)) is not None}


def versions_of(bucket: Bucket, keys: ModelKeys, owner: str) -> list[int]:
    """The versions that `owner` claimed, newest first."""
    newest_first = sorted(claimed_versions(bucket, keys), reverse=True)
    with ThreadPoolExecutor(max_workers=8) as pool:
        claims = pool.map(lambda version: read_claim(bucket, keys, version), newest_first)
        return [v for v, claim in zip(newest_first, claims, strict=True) if claim and claim.owner == owner]


def claim_next(bucket: Bucket, keys: ModelKeys, wanted: Claim) -> int:
    """Claim the next version, 1 + the highest published or claimed one, unless the owner has one already.

    A lost race moves on to the next number.

    Raises:
        StepError: fifty races were lost in a row.
    """
    for version in versions_of(bucket, keys, wanted.owner):
        if published_sha256(bucket, keys, version) in (None, wanted.model_sha256) and take(
            bucket, keys, version, wanted
        ):
            log.info("version %d was claimed before by %s: taken up again", version, wanted.owner)
            return version
    for _ in range(ATTEMPTS):
        taken = published_versions(bucket, keys) | claimed_versions(bucket, keys)
        version = 1 + max(taken, default=0)
        if take(bucket, keys, version, wanted):
            return version
        log.info("version %d was claimed by another deployment meanwhile", version)
    raise StepError(f"{bucket}: lost {ATTEMPTS} races for a version of {keys.model!r}; run the step again")


def claim_forced(
    bucket: Bucket, keys: ModelKeys, version: int, wanted: Claim, may_replace: bool = False
) -> int:
    """Claim exactly `version`; one that is published with the same bytes is deployed again.

    Raises:
        StepError: it is published with other bytes and may not be replaced, it was pruned, or another
            deployment that is not over holds its claim.
    """
    published = published_sha256(bucket, keys, version)
    if published not in (None, wanted.model_sha256) and not may_replace:
        raise StepError(immutable(keys, version, str(published), wanted.model_sha256))
    if not take(bucket, keys, version, wanted):
        _take_over(bucket, keys, version, wanted, published)
    return version


def take(bucket: Bucket, keys: ModelKeys, version: int, wanted: Claim) -> bool:
    """Make `wanted` the claim on `version`; False where another owner has it, or it was pruned.

    An owner's own claim for other bytes is rewritten: its fetch was run again and found another model.
    """
    key = keys.claim(version)
    if bucket.write_if_absent(key, wanted.encode()):
        return True
    # Refused, and yet perhaps ours: the first answer to our own writing may have been lost.
    found = _fetch(bucket, keys, version)
    if found is None or found[0].owner != wanted.owner or found[0].pruned_at:
        return False
    held, stored = found
    if held.model_sha256 == wanted.model_sha256:
        return True
    return bucket.write_if_unchanged(key, wanted.encode(), stored.etag)


def mark_pruned(bucket: Bucket, keys: ModelKeys, version: int, min_age: float) -> bool:
    """Note that a version is about to be removed, so that nobody is given its number again.

    Returns:
        False where the claim is younger than `min_age` seconds or has just changed: somebody deploys it.
    """
    found = _fetch(bucket, keys, version)
    if found is None:
        return bucket.write_if_absent(keys.claim(version), Claim("nobody", "", "", pruned_at=_now()).encode())
    claim, stored = found
    if claim.pruned_at:
        return True
    if stored.age < min_age:
        return False
    return bucket.write_if_unchanged(
        keys.claim(version), replace(claim, pruned_at=_now()).encode(), stored.etag
    )


def mark_archived(bucket: Bucket, keys: ModelKeys, version: int) -> bool:
    """Note that a version leaves Triton's repository for the archive.

    Returns:
        False where its deployment is under way, its claim has just changed, or it is about to be removed.
    """
    found = _fetch(bucket, keys, version)
    if found is None:
        return bucket.write_if_absent(
            keys.claim(version), Claim("nobody", "", "", archived_at=_now()).encode()
        )
    claim, stored = found
    if claim.archived_at:
        return True
    if claim.pruned_at or _in_flight(bucket, keys, version, found):
        return False
    marked = replace(claim, archived_at=_now())
    return bucket.write_if_unchanged(keys.claim(version), marked.encode(), stored.etag)


def mark_restored(bucket: Bucket, keys: ModelKeys, version: int) -> None:
    """Note that a version comes back, unless its claim has just changed: then it is somebody's already."""
    found = _fetch(bucket, keys, version)
    if found is not None and found[0].archived_at:
        back = replace(found[0], archived_at="")
        bucket.write_if_unchanged(keys.claim(version), back.encode(), found[1].etag)


def is_in_flight(bucket: Bucket, keys: ModelKeys, version: int) -> bool | None:
    """Whether the deployment that claimed a version may still be under way; None where nobody claimed it.

    Raises:
        StepError: the claim or the record cannot be read, or S3 failed.
    """
    found = _fetch(bucket, keys, version)
    return None if found is None else _in_flight(bucket, keys, version, found)


def _in_flight(bucket: Bucket, keys: ModelKeys, version: int, found: tuple[Claim, Stored]) -> bool:
    claim, stored = found
    if claim.archived_at or claim.pruned_at or stored.age >= IN_FLIGHT_SECONDS:
        return False
    over = is_over(bucket, keys, version, claim.owner) or was_rolled_back(bucket, keys, version, claim.owner)
    return not over


def _take_over(bucket: Bucket, keys: ModelKeys, version: int, wanted: Claim, published: str | None) -> None:
    """Take a forced version's claim from its owner, once that one's deployment is over.

    The claim is then young again, and says so to whoever prunes or serves: this deployment is under way.
    """
    found = _fetch(bucket, keys, version)
    what = f"version {version} of {keys.model!r}"
    if found is None:
        raise StepError(f"{what} changed hands while it was claimed; run the step again")
    held, stored = found
    if held.pruned_at:
        raise StepError(f"{what} was pruned, and its number is not given again: force another version")
    if published is None:
        raise StepError(
            f"{what} is claimed by {held.owner}, which has not published it: "
            "wait for that deployment, or leave force-version empty"
        )
    young = _in_flight(bucket, keys, version, found)
    if young and published != wanted.model_sha256:
        raise StepError(
            f"{what} was claimed {stored.age:.0f} s ago by {held.owner}, whose deployment may still run: "
            f"replace it {IN_FLIGHT_SECONDS:.0f} s after that"
        )
    if not young and not bucket.write_if_unchanged(keys.claim(version), wanted.encode(), stored.etag):
        raise StepError(f"{what} changed hands while it was claimed; run the step again")
    log.info(
        "%s is published with %s bytes", what, "the same" if published == wanted.model_sha256 else "other"
    )


def _fetch(bucket: Bucket, keys: ModelKeys, version: int) -> tuple[Claim, Stored] | None:
    key = keys.claim(version)
    found = bucket.fetch(key)
    if found is None:
        return None
    try:
        return Claim(**json.loads(found.body)), found
    except (ValueError, TypeError) as error:
        raise StepError(f"{key} is not a claim: {error}") from error


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
