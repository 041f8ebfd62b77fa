"""The versions of a model: which are there, of which bytes, whose each number is, and what became of it.

A version is complete when its folder holds model.onnx: its data files, where it has any, come before it.  An
old one may lie in the archive (see `archive`), which Triton does not read, and everybody else finds.

A version's folder is never written to once it is published: Triton would take it for a changed model.  The
notes about it lie outside of Triton's repository.

The record of a deployment holds metadata.json's content, and what happened to the version after publication.

A claim is one small object, written only if it does not exist, before anything is uploaded, so that two
deployments never share a number.  It names the workflow that owns the version and the bytes that it is for.
It stays after the version is published, and after it is pruned: a number is never given twice.

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
from typing import Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from argosy.components.deployment.model.layout import (
    METADATA_FILE,
    MODEL_FILE,
    ModelKeys,
    identity,
    version_number,
)
from argosy.components.shared.s3 import Bucket, Stored
from argosy.errors import StepError

log = logging.getLogger(__name__)

CLAIM_ATTEMPTS = 50
# A deployment that claimed its version longer ago has been killed, or is over.
IN_FLIGHT_SECONDS = 3600.0

# How the name begins under which a step runs that no workflow owns.
BY_HAND = "by-hand-"
_AMEND_TRIES = 20


def read_record(bucket: Bucket, keys: ModelKeys, version: int) -> dict[str, Any]:
    """The record of a version; as long as it has none, what its metadata.json says; {} without either.

    Raises:
        StepError: it is no JSON object, or S3 failed.
    """
    described = (folder + METADATA_FILE for folder in (keys.version(version), keys.archived(version)))
    for key in (keys.record(version), *described):
        found = bucket.read(key)
        if found is not None:
            return _decode_record(key, found[0])
    return {}


def was_rolled_back(bucket: Bucket, keys: ModelKeys, version: int, owner: str) -> bool:
    """Whether a rollback of workflow `owner` took the version out of service at some time.

    Raises:
        StepError: the record is no JSON object, or S3 failed.
    """
    found = read_record(bucket, keys, version).get("rollback")
    return isinstance(found, dict) and found.get("workflow") == owner


def is_over(bucket: Bucket, keys: ModelKeys, version: int, owner: str) -> bool:
    """Whether deployment `owner` of the version came to its end.

    Its last two steps run side by side, and each notes that it is done.  Steps that are run by hand have no
    workflow in common: theirs count for whoever owns the version.

    Raises:
        StepError: the record is no JSON object, or S3 failed.
    """
    record = read_record(bucket, keys, version)
    ends = (record.get("aliases"), record.get("verification"))
    names = [str(end.get("workflow", "")) for end in ends if isinstance(end, dict)]
    return len(names) == 2 and all(name == owner or name.startswith(BY_HAND) for name in names)


def amend_record(bucket: Bucket, keys: ModelKeys, version: int, **blocks: dict[str, Any]) -> None:
    """Put blocks, as `verification`, into a version's record; others may write other blocks meanwhile.

    Raises:
        StepError: the record is no JSON object, others kept writing it, or S3 failed.
    """
    tries = Retrying(
        retry=retry_if_result(lambda written: not written),
        stop=stop_after_attempt(_AMEND_TRIES),
        wait=wait_random_exponential(multiplier=0.05, max=1),
    )
    try:
        tries(_amend, bucket, keys, version, blocks)
    except RetryError as error:
        raise StepError(f"{keys.record(version)}: others keep writing it; run the step again") from error
    log.info("noted in %s: %s", keys.record(version), ", ".join(blocks))


def _amend(bucket: Bucket, keys: ModelKeys, version: int, blocks: dict[str, dict[str, Any]]) -> bool:
    key = keys.record(version)
    found = bucket.read(key)
    if found is None:
        return bucket.write_if_absent(key, _encode_record({**read_record(bucket, keys, version), **blocks}))
    return bucket.write_if_unchanged(
        key, _encode_record({**_decode_record(key, found[0]), **blocks}), found[1]
    )


def _encode_record(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()


def _decode_record(key: str, body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except ValueError as error:
        raise StepError(f"{key} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise StepError(f"{key} is not the record of a deployment: it holds {type(record).__name__}")
    return record


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
    found = _fetch_claim(bucket, keys, version)
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
        if published_sha256(bucket, keys, version) in (None, wanted.model_sha256) and take_claim(
            bucket, keys, version, wanted
        ):
            log.info("version %d was claimed before by %s: taken up again", version, wanted.owner)
            return version
    for _ in range(CLAIM_ATTEMPTS):
        taken = published_versions(bucket, keys) | claimed_versions(bucket, keys)
        version = 1 + max(taken, default=0)
        if take_claim(bucket, keys, version, wanted):
            return version
        log.info("version %d was claimed by another deployment meanwhile", version)
    raise StepError(
        f"{bucket}: lost {CLAIM_ATTEMPTS} races for a version of {keys.model!r}; run the step again"
    )


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
    if not take_claim(bucket, keys, version, wanted):
        _take_over(bucket, keys, version, wanted, published)
    return version


def take_claim(bucket: Bucket, keys: ModelKeys, version: int, wanted: Claim) -> bool:
    """Make `wanted` the claim on `version`; False where another owner has it, or it was pruned.

    An owner's own claim for other bytes is rewritten: its fetch was run again and found another model.
    """
    key = keys.claim(version)
    if bucket.write_if_absent(key, wanted.encode()):
        return True
    # Refused, and yet perhaps ours: the first answer to our own writing may have been lost.
    found = _fetch_claim(bucket, keys, version)
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
    found = _fetch_claim(bucket, keys, version)
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
    found = _fetch_claim(bucket, keys, version)
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
    found = _fetch_claim(bucket, keys, version)
    if found is not None and found[0].archived_at:
        back = replace(found[0], archived_at="")
        bucket.write_if_unchanged(keys.claim(version), back.encode(), found[1].etag)


def is_in_flight(bucket: Bucket, keys: ModelKeys, version: int) -> bool | None:
    """Whether the deployment that claimed a version may still be under way; None where nobody claimed it.

    Raises:
        StepError: the claim or the record cannot be read, or S3 failed.
    """
    found = _fetch_claim(bucket, keys, version)
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
    found = _fetch_claim(bucket, keys, version)
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


def _fetch_claim(bucket: Bucket, keys: ModelKeys, version: int) -> tuple[Claim, Stored] | None:
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


def folder_of(bucket: Bucket, keys: ModelKeys, version: int) -> str | None:
    """The folder in which a version lies whole, the repository's or else the archive's; None for none."""
    published, archived = keys.version(version), keys.archived(version)
    # The repository once more at the end: it may have come back while the archive was asked.
    for folder in (published, archived, published):
        if bucket.head(folder + MODEL_FILE) is not None:
            return folder
    return None


def files_of_versions(bucket: Bucket, root: str) -> dict[int, dict[str, float]]:
    """Every version that has a key, complete or not: number -> file name -> age in seconds by S3's clock.

    Folders that Triton ignores do not count.  The keys are listed, not the folders: some servers show a
    folder for a while after its last key is gone.

    Args:
        bucket: where.
        root: the model's folder in the repository, or in the archive.
    """
    found: dict[int, dict[str, float]] = {}
    for key, age in bucket.ages(root):
        folder, slash, name = key.removeprefix(root).partition("/")
        number = version_number(folder)
        if slash and number is not None:
            found.setdefault(number, {})[name] = age
    return found


def published_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    """The numbers of all versions that have a key in the repository."""
    return set(files_of_versions(bucket, keys.root))


def published_sha256(bucket: Bucket, keys: ModelKeys, version: int) -> str | None:
    """The checksum of a complete version's model, as fetch-model gives it; None for any other version.

    It may lie in the archive.

    Checksums are those noted at upload; files that somebody put there by hand are read.
    """
    folder = folder_of(bucket, keys, version)
    if folder is None:
        return None
    return identity({name: noted_sha256(bucket, folder + name) for name in model_files(bucket, folder)})


def model_files(bucket: Bucket, folder: str) -> set[str]:
    """The names of a version's model.onnx and data files, as far as they are in its folder."""
    return {key.removeprefix(folder) for key in bucket.keys(folder)} - {METADATA_FILE}


def immutable(keys: ModelKeys, version: int, published: str, wanted: str) -> str:
    """The message that refuses to replace a published version."""
    return (
        f"version {version} of {keys.model!r} is published with other bytes (sha256 {published[:12]}..., "
        f"this model has {wanted[:12]}...): published versions are immutable; leave force-version empty, "
        "force another version, or say replace=true"
    )


def noted_sha256(bucket: Bucket, key: str) -> str:
    """The checksum that was noted at an object's upload; of one that somebody put there by hand, its own."""
    info = bucket.head(key)
    return info.sha256 if info and info.sha256 else bucket.sha256(key)
