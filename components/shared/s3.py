"""One S3 bucket, as the steps use it.

`connect` gives a `Bucket`; everything that S3 or the network raises becomes one `StepError` that says what
was being done and on which server.  Claims, leases and publishing stand on its conditional writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from argosy.components.shared.files import MIB, Fingerprint, sha256_of
from argosy.components.shared.s3_client import (
    BrokenAnswer,
    WriteConflict,
    cause,
    check_bucket_name,
    code,
    conditionally,
    make_client,
    reading,
    resumed,
    status,
)
from argosy.components.shared.s3_transfer import Copy, Pending, Upload
from argosy.errors import StepError

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["MIB", "Bucket", "ObjectInfo", "Stored", "connect", "sha256_of"]

PAGE_KEYS = 1000


@dataclass(frozen=True)
class ObjectInfo:
    """S3's account of an object.

    Attributes:
        size: in bytes.
        etag: its entity tag.
        sha256: as noted at upload, or "".
        age: seconds since it was written, by the server's own clock, to the second.
    """

    size: int
    etag: str
    sha256: str
    age: float = field(compare=False)


@dataclass(frozen=True)
class Stored:
    """A small object: its bytes, its entity tag, its age in seconds by the server's own clock."""

    body: bytes
    etag: str
    age: float = field(compare=False)


@dataclass(frozen=True)
class Bucket:
    """A bucket that was found to exist; keys are given without a leading slash."""

    name: str
    client: BaseClient

    def __str__(self) -> str:
        return f"bucket {self.name!r} at {self.client.meta.endpoint_url}"

    @contextmanager
    def errors(self, action: str) -> Iterator[None]:
        """Turn S3's and the network's errors into a `StepError` that begins with `action`."""
        try:
            yield
        except (ClientError, BotoCoreError, WriteConflict, BrokenAnswer) as error:
            raise StepError(f"{self}: could not {action}: {cause(error)}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key below `prefix`, page by page, in S3's order."""
        yield from (key for key, _ in self.ages(prefix))

    def ages(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Every key below `prefix`, with its age in seconds by the server's own clock."""
        with self.errors(f"list {prefix}"):
            for page in self._pages(Prefix=prefix):
                yield from ((entry["Key"], _age(page, entry)) for entry in page.get("Contents", ()))

    def folders(self, prefix: str) -> Iterator[str]:
        """The names directly below `prefix` (which ends with a slash) that hold keys of their own."""
        with self.errors(f"list {prefix}"):
            for page in self._pages(Prefix=prefix, Delimiter="/"):
                found = (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))
                yield from (folder[len(prefix) :].rstrip("/") for folder in found)

    def unfinished(self, prefix: str) -> Iterator[tuple[str, str, float]]:
        """Key, id and age in seconds of each multipart upload below `prefix` that was never completed."""
        with self.errors(f"list the uploads below {prefix}"):
            pages = self.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for upload in page.get("Uploads", ()):
                    yield upload["Key"], upload["UploadId"], _age(page, upload, "Initiated")

    def head(self, key: str) -> ObjectInfo | None:
        """Size, tag, noted checksum and age of an object; None where there is none."""
        with self.errors(f"look at {key}"):
            try:
                answer = self.client.head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if status(error) == 404:
                    return None
                raise
        noted = answer["Metadata"].get("sha256", "")
        return ObjectInfo(answer["ContentLength"], answer["ETag"], noted, _age(answer, answer))

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small object's bytes and entity tag; None where there is none."""
        found = self.fetch(key)
        return None if found is None else (found.body, found.etag)

    def fetch(self, key: str) -> Stored | None:
        """A small object with its entity tag and age; None where there is none."""
        with self.errors(f"read {key}"):
            try:
                return resumed(lambda: self._fetch(key))
            except ClientError as error:
                if code(error) in ("NoSuchKey", "404"):
                    return None
                raise

    def sha256(self, key: str) -> str:
        """The hexadecimal SHA-256 of an object, computed from its bytes as S3 sends them.

        A connection that breaks is opened again where it broke, on the same object.
        """
        digest, at, tag = hashlib.sha256(), 0, ""

        def go_on() -> str:
            nonlocal at, tag
            only = {"Range": f"bytes={at}-", "IfMatch": tag} if at else {}
            answer = self.client.get_object(Bucket=self.name, Key=key, **only)
            tag = answer["ETag"]
            with reading():
                for chunk in answer["Body"].iter_chunks(MIB):
                    digest.update(chunk)
                    at += len(chunk)
            return digest.hexdigest()

        with self.errors(f"read {key}"):
            return resumed(go_on)

    def write_if_absent(self, key: str, body: bytes) -> bool:
        """Write a small object unless the key exists; False where it does."""
        return self._write(key, body, IfNoneMatch="*")

    def write_if_unchanged(self, key: str, body: bytes, etag: str) -> bool:
        """Write a small object over the one with that entity tag; False where it changed meanwhile."""
        return self._write(key, body, IfMatch=etag)

    def stage(self, path: Path, key: str, expected: Fingerprint) -> AbstractContextManager[Pending]:
        """A file as an object that is on the server, verified, and does not appear yet (see `s3_upload`).

        Uploads that did not appear by the end of the block are given up.
        """
        return Upload(self, path, key, expected).pending()

    def copy_if_absent(self, source: str, key: str, expected: Fingerprint) -> bool:
        """Copy inside S3, all or nothing and verified (see `s3_copy`); False where `key` exists already."""
        with Copy(self, source, key, expected).pending() as copy:
            return copy.appear()

    def delete(self, key: str) -> None:
        """Delete one key, whether it exists or not."""
        with self.errors(f"delete {key}"):
            self.client.delete_object(Bucket=self.name, Key=key)

    def delete_below(self, prefix: str) -> int:
        """Delete every key below `prefix` (which must end with a slash); how many there were."""
        if not prefix.strip("/") or not prefix.endswith("/"):
            raise ValueError(f"refusing to delete below {prefix!r}: a folder's key is wanted")
        keys = list(self.keys(prefix))
        with self.errors(f"delete {prefix}"):
            for start in range(0, len(keys), PAGE_KEYS):
                batch = {"Objects": [{"Key": key} for key in keys[start : start + PAGE_KEYS]], "Quiet": True}
                answer = self.client.delete_objects(Bucket=self.name, Delete=batch)
                for failed in answer.get("Errors", ()):
                    raise StepError(f"{self}: could not delete {failed['Key']}: {failed.get('Message', '')}")
        return len(keys)

    def _pages(self, **options: str) -> Any:
        pages = self.client.get_paginator("list_objects_v2")
        return pages.paginate(Bucket=self.name, PaginationConfig={"PageSize": PAGE_KEYS}, **options)

    def _fetch(self, key: str) -> Stored:
        answer = self.client.get_object(Bucket=self.name, Key=key)
        with reading():
            return Stored(answer["Body"].read(), answer["ETag"], _age(answer, answer))

    def _write(self, key: str, body: bytes, **condition: str) -> bool:
        with self.errors(f"write {key}"):
            return conditionally(
                lambda: self.client.put_object(Bucket=self.name, Key=key, Body=body, **condition)
            )


def connect(bucket: str) -> Bucket:
    """The bucket of that name on the server that AWS_ENDPOINT_URL_S3 names (see `s3_client`).

    Raises:
        UsageError: not a bucket's name, or an endpoint that is no address.
        StepError: no such bucket, no or wrong credentials, or no answer.
    """
    found = Bucket(check_bucket_name(bucket), make_client())
    with found.errors("open it"):
        found.client.head_bucket(Bucket=bucket)
    return found


def _age(answer: dict[str, Any], entry: dict[str, Any], time: str = "LastModified") -> float:
    """Seconds from an object's time to the answer's own, both by the server's clock."""
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    # One of the two may be told to the second, and the other more exactly.
    return max(0.0, float((now - entry[time]).total_seconds()))
