"""The content of Triton's repository and of its archive: which versions, and of which bytes.

A version is complete when its folder holds model.onnx: its data files, where it has any, come before it.  An
old one may lie in the archive (see `archive`), which Triton does not read, and everybody else finds.
"""

from __future__ import annotations

from argosy.components.deployment.model.layout import (
    METADATA_FILE,
    MODEL_FILE,
    ModelKeys,
    identity,
    version_number,
)
from argosy.components.shared.s3 import Bucket


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
