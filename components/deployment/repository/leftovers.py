"""Remains of killed steps in the bucket, outside of what Triton reads."""

from __future__ import annotations

import logging

from botocore.exceptions import ClientError

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.shared import lease
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.s3_errors import status
from argosy.errors import ArgosyError

log = logging.getLogger(__name__)

A_DAY = 24 * 3600.0


def clear_leftovers(bucket: Bucket, keys: ModelKeys, dry_run: bool, min_age: float = A_DAY) -> list[str]:
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
