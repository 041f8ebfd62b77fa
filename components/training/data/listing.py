"""The listing of a data set on S3, kept in a file: a million objects take disk, not memory."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from argosy.components.shared.s3 import Bucket
from argosy.errors import UsageError

SPLITS = ("train", "val")


@dataclass(frozen=True)
class RemoteFile:
    """One object of the data set; `path` is relative to the data set's prefix, `size` in bytes."""

    path: str
    size: int
    etag: str


class Listing:
    """The objects under a prefix at one moment; can be walked over again and again.

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
