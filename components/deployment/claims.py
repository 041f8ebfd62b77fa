"""Version numbers are claimed before anything is uploaded, so that two deployments never share one.

A claim is one small object, written only if it does not exist.  It names the workflow that owns the version
and the bytes that it is for; it stays after the version is published, so a number is never given twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone

from argosy.components.deployment.layout import MODEL_FILE, ModelKeys, version_number
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError

log = logging.getLogger(__name__)

ATTEMPTS = 50


@dataclass(frozen=True)
class Claim:
    """Who owns a version of a model in Triton's repository, and for which MLflow version and bytes."""

    owner: str
    model_version: str
    model_sha256: str
    claimed_at: str = ""

    def encode(self) -> bytes:
        """The claim's object, stamped with the time of writing."""
        now = datetime.now(timezone.utc).isoformat()
        return json.dumps(asdict(replace(self, claimed_at=now)), indent=2).encode()


def read_claim(bucket: Bucket, keys: ModelKeys, version: int) -> Claim | None:
    """The claim on a version; None where nobody claimed it.

    Raises:
        StepError: the object is not a claim.
    """
    found = bucket.read(keys.claim(version))
    return None if found is None else _decode(keys.claim(version), found[0])


def held_by(bucket: Bucket, keys: ModelKeys, version: int) -> str:
    """Whose claim a version is, for a message."""
    claim = read_claim(bucket, keys, version)
    return claim.owner if claim else "nobody"


def claimed_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    """Every version number that is or was claimed."""
    names = (key[len(keys.claims) :].removesuffix(".json") for key in bucket.keys(keys.claims))
    return {number for name in names if (number := version_number(name)) is not None}


def published_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    """Every version number that has a folder in the repository; folders that Triton ignores do not count."""
    return {number for name in bucket.folders(keys.root) if (number := version_number(name)) is not None}


def published_sha256(bucket: Bucket, keys: ModelKeys, version: int) -> str | None:
    """The SHA-256 of a published model file: as noted at upload, else computed; None where there is none."""
    key = keys.version(version) + MODEL_FILE
    info = bucket.head(key)
    return None if info is None else info.sha256 or bucket.sha256(key)


def claim_next(bucket: Bucket, keys: ModelKeys, wanted: Claim) -> int:
    """Claim the next version, 1 + the highest published or claimed one, unless the owner has one already.

    A lost race moves on to the next number.

    Raises:
        StepError: fifty races were lost in a row.
    """
    for version in _versions_of(bucket, keys, wanted.owner):
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


def claim_forced(bucket: Bucket, keys: ModelKeys, version: int, wanted: Claim) -> int:
    """Claim exactly `version`; one that is published with the same bytes needs no claim.

    Raises:
        StepError: it is published with other bytes, or another deployment holds its claim.
    """
    published = published_sha256(bucket, keys, version)
    if published == wanted.model_sha256:
        log.info("version %d of %s is published with the same bytes", version, keys.model)
        return version
    if published is not None:
        raise StepError(immutable(keys, version, published, wanted.model_sha256))
    if not take(bucket, keys, version, wanted):
        raise StepError(
            f"version {version} of {keys.model!r} is claimed by {held_by(bucket, keys, version)}, "
            "which has not published it: wait for that deployment, or leave force-version empty"
        )
    return version


def immutable(keys: ModelKeys, version: int, published: str, wanted: str) -> str:
    """The message that refuses to replace a published version."""
    return (
        f"version {version} of {keys.model!r} is published with other bytes (sha256 {published[:12]}..., "
        f"this model has {wanted[:12]}...): published versions are immutable; "
        "leave force-version empty, or force another version"
    )


def take(bucket: Bucket, keys: ModelKeys, version: int, wanted: Claim) -> bool:
    """Make `wanted` the claim on `version`; False where another owner has it.

    An owner's own claim for other bytes is rewritten: its fetch was run again and found another model.
    """
    key = keys.claim(version)
    if bucket.write_if_absent(key, wanted.encode()):
        return True
    found = bucket.read(key)
    held = found and _decode(key, found[0])
    if not found or not held or held.owner != wanted.owner:
        return False
    if held.model_sha256 == wanted.model_sha256:
        return True
    return bucket.write_if_unchanged(key, wanted.encode(), found[1])


def _decode(key: str, body: bytes) -> Claim:
    try:
        return Claim(**json.loads(body))
    except (ValueError, TypeError) as error:
        raise StepError(f"{key} is not a claim: {error}") from error


def _versions_of(bucket: Bucket, keys: ModelKeys, owner: str) -> Iterator[int]:
    """The versions that `owner` claimed, newest first."""
    newest_first = sorted(claimed_versions(bucket, keys), reverse=True)
    with ThreadPoolExecutor(max_workers=8) as pool:
        claims = pool.map(lambda version: read_claim(bucket, keys, version), newest_first)
        mine = [v for v, claim in zip(newest_first, claims, strict=True) if claim and claim.owner == owner]
    yield from mine
