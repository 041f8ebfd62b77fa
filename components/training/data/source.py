"""Bring a data set to this machine: a local folder stays where it is, an `s3://` prefix is downloaded once.

A download goes to a folder named after the exact content of the listing, so a data set that changed on S3
never mixes with an older copy. The marker is written last. A download that was cut off goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from argosy.components.shared.s3 import connect
from argosy.components.training.data.cache import cache_folder
from argosy.components.training.data.download import download
from argosy.components.training.data.listing import SPLITS, Listing, list_objects
from argosy.errors import UsageError

log = logging.getLogger(__name__)

MARKER = ".complete"


def local_folder(dataset: str, *, workers: int, cache: Path | None = None) -> Path:
    """The folder that holds `dataset`, downloaded first where it is an `s3://bucket/prefix`.

    Args:
        dataset: an `s3://` prefix or a folder on this machine.
        workers: as in the recipe; four times as many files are downloaded at a time, for they mostly wait.
        cache: where downloads are kept; by default a folder of `cache_folder`.

    Raises:
        UsageError: the folder does not exist, the address is malformed, nothing lies under the prefix, or a
            key there cannot be a file's path.
        StepError: S3 failed, a file arrived damaged, or the disk is full.
    """
    if dataset.startswith("s3://"):
        return _download(dataset, cache or cache_folder("datasets"), workers)
    if not dataset.strip():
        raise UsageError("dataset is empty; give an s3:// prefix or a folder")
    if "://" in dataset:
        raise UsageError(f"dataset {dataset!r} is neither an s3:// prefix nor a folder")
    if not Path(dataset).is_dir():
        raise UsageError(
            f"dataset {dataset!r} is not a folder on this machine (for S3 write s3://bucket/prefix)"
        )
    return Path(dataset)


def _download(uri: str, root: Path, workers: int) -> Path:
    name, _, prefix = uri.removeprefix("s3://").partition("/")
    bucket = connect(name)
    with bucket.errors(f"list the data set {uri}"):
        listing = list_objects(bucket, prefix.strip("/") + "/" if prefix.strip("/") else "")
    if not listing.files:
        raise UsageError(f"dataset {uri!r}: nothing lies under its {'/ or '.join(SPLITS)}/")
    target = root / _folder_name(name, listing)
    marker = target / MARKER
    log.info("data set %s: %d files, %.1f MB", uri, listing.files, listing.bytes / 1e6)
    download(bucket, listing, target, threads=min(max(8, 4 * workers), 64), trusted=marker.exists())
    marker.write_text(f"{listing.files} files of {uri}\n", encoding="utf-8")
    log.info("data set %s lies in %s", uri, target)
    return target


def _folder_name(bucket: str, listing: Listing) -> str:
    """Files that were removed on S3 are in no listing any more, so they are in no folder of that name."""
    return hashlib.sha256(f"{bucket}/{listing.prefix}\0{listing.digest}".encode()).hexdigest()[:24]
