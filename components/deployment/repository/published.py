"""What lies in Triton's repository: which versions, and of which bytes.

A version is complete when its folder holds model.onnx: its data files, where it has any, come before it.
"""

from __future__ import annotations

from argosy.components.deployment.model.identity import identity
from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE, ModelKeys, version_number
from argosy.components.shared.s3 import Bucket


def files_of_versions(bucket: Bucket, keys: ModelKeys) -> dict[int, dict[str, float]]:
    """Every version that has a key, complete or not: number -> file name -> age in seconds by S3's clock.

    Folders that Triton ignores do not count.  The keys are listed, not the folders: some servers show a
    folder for a while after its last key is gone.
    """
    found: dict[int, dict[str, float]] = {}
    for key, age in bucket.ages(keys.root):
        folder, slash, name = key.removeprefix(keys.root).partition("/")
        number = version_number(folder)
        if slash and number is not None:
            found.setdefault(number, {})[name] = age
    return found


def published_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    """The numbers of `files_of_versions`."""
    return set(files_of_versions(bucket, keys))


def published_sha256(bucket: Bucket, keys: ModelKeys, version: int) -> str | None:
    """The checksum of a complete version's model, as fetch-model gives it; None for any other version.

    Checksums are those noted at upload; files that somebody put there by hand are read.
    """
    names, folder = published_files(bucket, keys, version), keys.version(version)
    if MODEL_FILE not in names:
        return None
    return identity({name: _sha256(bucket, folder + name) for name in names})


def published_files(bucket: Bucket, keys: ModelKeys, version: int) -> set[str]:
    """The names of a version's model.onnx and data files, as far as they are there."""
    folder = keys.version(version)
    return {key.removeprefix(folder) for key in bucket.keys(folder)} - {METADATA_FILE}


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
