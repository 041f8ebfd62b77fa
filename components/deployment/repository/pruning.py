"""Removing old versions from Triton's repository and its archive, and what killed steps left in the bucket.

| a version that | is |
| --- | --- |
| is behind `live` or `previous`, or named in config.pbtxt | kept |
| is among the newest `keep` of the complete ones | kept |
| was published or claimed less than an hour ago, by S3's clock | kept: a deployment is under way |
| is older, and complete or half removed | removed |

Versions in the archive count as those in the repository do.

A version is removed in an order that leaves it complete for Triton, or no version at all: its claim first
says that it was pruned (so that nobody is given the number again), then model.onnx goes, then the other
files; from the archive first.  A run that was killed in between is finished by the next.  It happens under
the serving lease: nothing is loaded, replaced, archived or rolled back meanwhile.

Left by killed steps, outside of what Triton reads: staging folders, compared copies, leases and unfinished
uploads.  They go after a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from argosy.components.deployment.model.layout import MODEL_FILE, ModelKeys
from argosy.components.deployment.repository.archive import clear_folder
from argosy.components.deployment.repository.versions import (
    IN_FLIGHT_SECONDS,
    files_of_versions,
    mark_pruned,
    read_claim,
)
from argosy.components.shared import lease
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.s3_client import status
from argosy.errors import ArgosyError

log = logging.getLogger(__name__)

_SECONDS, _PATIENCE = 60.0, 600.0
_A_DAY = 24 * 3600.0


@dataclass(frozen=True)
class Pruned:
    """Versions, lowest first: those that were removed (or would be), and those that stay."""

    pruned: list[int]
    kept: list[int]


@dataclass(frozen=True)
class Pruning:
    """The versions that may be removed.

    Attributes:
        bucket: where the repository is.
        keys: the model's keys.
        keep: how many of the newest complete versions stay.
        standing: asks which versions something stands on, and why; its errors end the pruning.
        min_age: a version or a claim younger than this many seconds stays.
    """

    bucket: Bucket
    keys: ModelKeys
    keep: int
    standing: Callable[[], Mapping[int, str]]
    min_age: float = IN_FLIGHT_SECONDS

    def run(self, owner: str, dry_run: bool) -> Pruned:
        """Remove what may be removed, or tell what would be.

        Args:
            owner: who prunes, as the lease names it.
            dry_run: change nothing.

        Raises:
            StepError: nobody can tell which version is live, another step held the lease, or S3 failed.
        """
        if dry_run:
            return self._plan()
        key = self.keys.lock("serving")
        with lease.held(self.bucket, key, owner, seconds=_SECONDS, patience=_PATIENCE) as held:
            plan, gone = self._plan(), []
            for version in plan.pruned:
                held.renew()
                if mark_pruned(self.bucket, self.keys, version, self.min_age):
                    remove_version(self.bucket, self.keys, version)
                    gone.append(version)
        return Pruned(gone, sorted({*plan.kept, *plan.pruned}.difference(gone)))

    def _plan(self) -> Pruned:
        standing = self.standing()
        ages = self._ages()
        newest = set(sorted(v for v, age in ages.items() if MODEL_FILE in age)[-self.keep :])
        pruned = []
        for version, age in sorted(ages.items()):
            why = standing.get(version) or ("among the newest" if version in newest else "")
            why = why or self._in_flight(version, age)
            log.info("version %d of %s: %s", version, self.keys.model, f"stays, {why}" if why else "goes")
            if not why:
                pruned.append(version)
        return Pruned(pruned, sorted(ages.keys() - set(pruned)))

    def _ages(self) -> dict[int, dict[str, float]]:
        """Every version's files and their ages, wherever they lie."""
        found = files_of_versions(self.bucket, self.keys.archive)
        for version, ages in files_of_versions(self.bucket, self.keys.root).items():
            known = found.setdefault(version, {})
            for name, age in ages.items():
                known[name] = min(age, known.get(name, age))
        return found

    def _in_flight(self, version: int, ages: Mapping[str, float]) -> str:
        if min(ages.values(), default=0) < self.min_age:
            return "just published"
        claim = read_claim(self.bucket, self.keys, version)
        if claim is None or claim.pruned_at:
            return ""
        info = self.bucket.head(self.keys.claim(version))
        return "just claimed" if info is None or info.age < self.min_age else ""


def remove_version(bucket: Bucket, keys: ModelKeys, version: int) -> None:
    """Remove a version that is marked as pruned, wherever it lies; Triton sees it whole or not at all.

    Raises:
        StepError: S3 failed.
    """
    for folder in (keys.archived(version), keys.version(version)):
        clear_folder(bucket, folder)
    log.info("version %d of %s is removed", version, keys.model)


def clear_leftovers(bucket: Bucket, keys: ModelKeys, dry_run: bool, min_age: float = _A_DAY) -> list[str]:
    """Delete staging folders, compared copies, leases and unfinished uploads that are `min_age` seconds old.

    Returns:
        The keys that were removed, or would be.

    Raises:
        StepError: S3 failed.
    """
    staged = _old_staging(bucket, keys, min_age) + _old_candidates(bucket, keys, min_age)
    locks = [key for key, age in bucket.ages(keys.locks) if age >= min_age]
    uploads = _old_uploads(bucket, keys, min_age)
    if not dry_run:
        for key in staged:
            bucket.delete(key)
        locks = [key for key in locks if _drop_lease(bucket, key)]
        for key, upload in uploads:
            _abort(bucket, key, upload)
    found = [*staged, *locks, *(key for key, _ in uploads)]
    for key in found:
        log.info("%s: left by a step that was killed, %s", key, "would go" if dry_run else "removed")
    return found


def _old_staging(bucket: Bucket, keys: ModelKeys, min_age: float) -> list[str]:
    """The keys of staging folders without a young key: nobody writes to them any more."""
    folders: dict[str, list[tuple[str, float]]] = {}
    for key, age in bucket.ages(keys.stagings):
        folders.setdefault(key.removeprefix(keys.stagings).partition("/")[0], []).append((key, age))
    old = (found for found in folders.values() if min(age for _, age in found) >= min_age)
    return [key for found in old for key, _ in found]


def _old_candidates(bucket: Bucket, keys: ModelKeys, min_age: float) -> list[str]:
    """The keys of copies that were made for a comparison."""
    copies = bucket.ages(f"{keys.prefix}/{keys.model}.candidate-")
    return [key for key, age in copies if age >= min_age]


def _drop_lease(bucket: Bucket, key: str) -> bool:
    """Delete a lease while holding it, so that nobody takes it between the look and the deletion."""
    try:
        with lease.held(bucket, key, "prune-versions", seconds=60, patience=0):
            bucket.delete(key)
            return True
    except ArgosyError as error:
        log.info("%s stays: %s", key, error)
        return False


def _old_uploads(bucket: Bucket, keys: ModelKeys, min_age: float) -> list[tuple[str, str]]:
    """Key and id of the model's old multipart uploads, which cost money and show nowhere."""
    return [
        (key, upload)
        for prefix in (keys.stagings, keys.root, keys.archive)
        for key, upload, age in bucket.unfinished(prefix)
        if age >= min_age
    ]


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    with bucket.errors(f"abort an upload of {key}"):
        try:
            bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload)
        except ClientError as error:
            if status(error) != 404:
                raise
