"""Bring a data set to this machine: a local folder stays where it is, an `s3://` prefix is downloaded once.

A download goes to a folder named after the exact content of the listing, so a data set that changed on S3
never mixes with an older copy. The marker is written last. A download that was cut off goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from argosy.components.shared.s3 import Bucket, connect
from argosy.components.training.data.cache import cache_folder
from argosy.components.training.data.download import download
from argosy.errors import UsageError

SPLITS = ("train", "val")


@dataclass(frozen=True)
class RemoteFile:
    """One object of the data set; `path` is relative to the data set's prefix, `size` in bytes."""

    path: str
    size: int
    etag: str


class Listing:
    """What lay under a prefix at one moment; can be walked over again and again.

    Attributes:
        prefix: what comes before each file's path in its key; empty, or ends with a slash.
        digest: hexadecimal, the same for the same paths, sizes and entity tags.
        files: how many there are.
        bytes: how long they are together.
    """

    def __init__(self, prefix: str, files: Iterable[RemoteFile]) -> None:
        self.prefix = prefix
        self.files = self.bytes = 0
        # Without a name: it vanishes with the process, however that ends.
        self._lines: IO[bytes] = tempfile.TemporaryFile(prefix="argosy-")  # noqa: SIM115
        digest = hashlib.sha256()
        for file in files:
            line = json.dumps([file.path, file.size, file.etag]).encode() + b"\n"
            self._lines.write(line)
            digest.update(line)
            self.files += 1
            self.bytes += file.size
        self.digest = digest.hexdigest()

    def __iter__(self) -> Iterator[RemoteFile]:
        self._lines.seek(0)
        for line in self._lines:
            yield RemoteFile(*json.loads(line))


def list_objects(bucket: Bucket, prefix: str) -> Listing:
    """List both halves of the data set under `prefix`, page by page.

    Raises:
        UsageError: a key that cannot be a file's path below a folder.
        botocore's errors: S3 failed.
    """
    return Listing(prefix, _walk(bucket, prefix))


def _walk(bucket: Bucket, prefix: str) -> Iterator[RemoteFile]:
    paginator = bucket.client.get_paginator("list_objects_v2")
    for split in SPLITS:
        pages = paginator.paginate(Bucket=bucket.name, Prefix=f"{prefix}{split}/")
        yield from files_of(pages, prefix, str(bucket))


def files_of(pages: Iterable[Mapping[str, Any]], prefix: str, where: str) -> Iterator[RemoteFile]:
    """Every object of these pages, in their order, except those that stand for folders.

    Raises:
        UsageError: a key whose path would leave the folder, or has no exact counterpart on a disk; `where`
            names the bucket.
    """
    for page in pages:
        for item in page.get("Contents", ()):
            path = item["Key"].removeprefix(prefix)
            if path.endswith("/"):
                continue
            if not _stays_inside(path):
                raise UsageError(
                    f"object {item['Key']!r} of {where} would leave the data set's folder or clash with "
                    "another file in it; delete or rename it"
                )
            yield RemoteFile(path, item["Size"], item["ETag"].strip('"'))


def _stays_inside(path: str) -> bool:
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


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
