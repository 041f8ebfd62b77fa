"""The record of a deployment: metadata.json's content, and what happened to the version after publication.

It lies outside of Triton's repository, because a version's folder is never written to once it is published:
Triton would take it for a changed model.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from argosy.components.deployment.model.layout import METADATA_FILE, ModelKeys
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError

log = logging.getLogger(__name__)

# How the name begins under which a step runs that no workflow owns.
BY_HAND = "by-hand-"
_TRIES = 20


def read_record(bucket: Bucket, keys: ModelKeys, version: int) -> dict[str, Any]:
    """The record of a version; as long as it has none, what its metadata.json says; {} without either.

    Raises:
        StepError: it is no JSON object, or S3 failed.
    """
    described = (folder + METADATA_FILE for folder in (keys.version(version), keys.archived(version)))
    for key in (keys.record(version), *described):
        found = bucket.read(key)
        if found is not None:
            return _decode(key, found[0])
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
        stop=stop_after_attempt(_TRIES),
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
        return bucket.write_if_absent(key, _encode({**read_record(bucket, keys, version), **blocks}))
    return bucket.write_if_unchanged(key, _encode({**_decode(key, found[0]), **blocks}), found[1])


def _encode(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode()


def _decode(key: str, body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except ValueError as error:
        raise StepError(f"{key} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise StepError(f"{key} is not the record of a deployment: it holds {type(record).__name__}")
    return record
