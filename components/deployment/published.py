"""What lies in Triton's repository: which versions, and of which bytes.

A version is complete when its folder holds model.onnx: its data files, where it has any, come before it.
"""

from __future__ import annotations

from argosy.components.deployment.bundle import identity
from argosy.components.deployment.layout import METADATA_FILE, MODEL_FILE, ModelKeys, version_number
from argosy.components.shared.s3 import Bucket


def published_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    """Every version number that has a folder, complete or not; folders that Triton ignores do not count."""
    return {number for name in bucket.folders(keys.root) if (number := version_number(name)) is not None}


def published_sha256(bucket: Bucket, keys: ModelKeys, version: int) -> str | None:
    """The checksum of a complete version's model, as fetch-model gives it; None for any other version.

    Checksums are those noted at upload; files that somebody put there by hand are read.
    """
    folder = keys.version(version)
    names = {key.removeprefix(folder) for key in bucket.keys(folder)} - {METADATA_FILE}
    if MODEL_FILE not in names:
        return None
    return identity({name: _sha256(bucket, folder + name) for name in names})


def immutable(keys: ModelKeys, version: int, published: str, wanted: str) -> str:
    """The message that refuses to replace a published version."""
    return (
        f"version {version} of {keys.model!r} is published with other bytes (sha256 {published[:12]}..., "
        f"this model has {wanted[:12]}...): published versions are immutable; leave force-version empty, "
        "force another version, or say replace=true"
    )


def _sha256(bucket: Bucket, key: str) -> str:
    info = bucket.head(key)
    return info.sha256 if info and info.sha256 else bucket.sha256(key)
