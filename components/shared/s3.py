"""One S3 bucket, as the steps use it: small objects, conditional writes, large objects that appear whole.

`connect` gives a `Bucket`; everything that S3 or the network raises becomes one `StepError` that says what
was being done and on which server.  Claims, leases and publishing stand on its conditional writes.

A large object is put there in parts, each verified, and then with one last call that carries a condition.
Until that call there is no object: a multipart upload has no key, is in no listing, and no reader can see it.
So it is where an object of any size is staged.  Given up in the middle, it leaves nothing.

An upload's parts travel with their SHA-256, as it was computed when the file was read for the first time;
S3 refuses bytes that do not have it. A server that knows no checksums tells the MD5 of the bytes that it
got, as its entity tag. A copy's parts are taken by S3 from the source: nothing is downloaded, and before
the copy appears the checksum that S3 computed over each part is compared with the file's own. A server
that computes none has the source read back instead.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from argosy.components.shared.files import MIB, Fingerprint
from argosy.components.shared.s3_client import (
    THREADS,
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
from argosy.errors import StepError

if TYPE_CHECKING:
    from botocore.client import BaseClient

log = logging.getLogger(__name__)

PAGE_KEYS = 1000
MB = 1_000_000
# Smaller transfers are over before anybody would look.
SMALLEST_PROGRESS = 64 << 20
_PROGRESS_STEP = 0.10
_PROGRESS_SECONDS = 10.0


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
        """A file as an object that is on the server, verified, and does not appear yet (see `Upload`).

        Uploads that did not appear by the end of the block are given up.
        """
        return Upload(self, path, key, expected).pending()

    def copy_if_absent(self, source: str, key: str, expected: Fingerprint) -> bool:
        """Copy inside S3, all or nothing and verified (see `Copy`); False where `key` exists already."""
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


class Progress:
    """Counts bytes from any thread; logs a line each 10 % or 10 s, for transfers of 64 MiB and more."""

    def __init__(self, what: str, total: int) -> None:
        """Begin to count; `what` is done, as "copying x", `total` is in bytes. A run shows a bar."""
        self._what, self._total = what, total
        self._lock = threading.Lock()
        self._done = 0
        self._begun = self._told_at = time.monotonic()
        self._told_share = 0.0

    def __call__(self, more: int) -> None:
        """Add bytes; a negative number takes back what has to be sent again."""
        with self._lock:
            self._done += more
            if self._total >= SMALLEST_PROGRESS and self._due():
                self._tell()

    def _due(self) -> bool:
        step = self._done / self._total - self._told_share
        late = time.monotonic() - self._told_at >= _PROGRESS_SECONDS
        return step >= _PROGRESS_STEP or late or self._done == self._total

    def _tell(self) -> None:
        self._told_at, self._told_share = time.monotonic(), self._done / self._total
        speed = self._done / MB / max(self._told_at - self._begun, 1e-3)
        log.info(
            "progress: %.0f%% of %s, %.0f of %.0f MB, %.1f MB/s",
            *(100 * self._told_share, self._what, self._done / MB, self._total / MB, speed),
        )


Part = dict[str, Any]
SendPart = Callable[[dict[str, str], int, tuple[int, int]], Part]
"""Puts one part on the server: the upload's names, the part's number, its first and last byte."""


@dataclass
class Pending:
    """An object whose parts are on the server, and that does not exist yet."""

    bucket: Bucket
    target: dict[str, str]
    parts: list[Part]
    completed: bool = False

    def appear(self) -> bool:
        """Let the object appear, all of it at once; False where its key exists already."""
        return self._complete(IfNoneMatch="*")

    def take_the_place_of(self, etag: str) -> bool:
        """Put it over the object with that entity tag; False where that one changed meanwhile."""
        return self._complete(IfMatch=etag)

    def _complete(self, **condition: str) -> bool:
        whole = {"MultipartUpload": {"Parts": self.parts}, **condition}
        with self.bucket.errors(f"write {self.target['Key']}"):
            self.completed = conditionally(
                lambda: self.bucket.client.complete_multipart_upload(**self.target, **whole)
            )
        return self.completed


@contextmanager
def pending(
    bucket: Bucket, key: str, expected: Fingerprint, action: str, send: SendPart
) -> Iterator[Pending]:
    """An object in parts; what is not completed at the end of the block is given up.

    Args:
        bucket: where.
        key: the object's key.
        expected: what it has to be; its SHA-256 is noted on it.
        action: what is being done, for messages.
        send: puts one part there; called in several threads.

    Raises:
        StepError: S3 failed, or `send` did.
    """
    client, target = bucket.client, {"Bucket": bucket.name, "Key": key}
    noted = {"sha256": expected.sha256} if expected.sha256 else {}
    # Asked for only where there is something to compare: to compute it is most of what a copy costs.
    checked = {"ChecksumAlgorithm": "SHA256"} if expected.parts else {}
    with bucket.errors(action):
        begun = client.create_multipart_upload(**target, **checked, Metadata=noted)
    target["UploadId"] = begun["UploadId"]
    made = Pending(bucket, target, [])
    try:
        with bucket.errors(action), ThreadPoolExecutor(THREADS) as pool:
            numbered = enumerate(expected.spans(), 1)
            made.parts = list(pool.map(lambda one: send(target, *one), numbered))
        yield made
    finally:
        if not made.completed:
            _abort(bucket, target)


def _abort(bucket: Bucket, target: dict[str, str]) -> None:
    try:
        bucket.client.abort_multipart_upload(**target)
    except (ClientError, BotoCoreError) as error:
        log.warning("%s: an unfinished upload of %s stays behind: %s", bucket, target["Key"], cause(error))


@dataclass(frozen=True)
class Upload:
    """One upload: which file to where, and what the file was when it was read."""

    bucket: Bucket
    path: Path
    key: str
    expected: Fingerprint

    @contextmanager
    def pending(self) -> Iterator[Pending]:
        """The object, verified, before it appears.

        Raises:
            StepError: the file changed since it was read, or S3 failed.
        """
        size = self.path.stat().st_size
        if size != self.expected.size or not size:
            raise StepError(f"{self.path.name} has {size} bytes, not {self.expected.size}")
        progress = Progress(f"uploading {self.key}", size)

        def send(target: dict[str, str], number: int, span: tuple[int, int]) -> Part:
            part = self._part(target, number, span)
            progress(span[1] - span[0] + 1)
            return part

        with pending(self.bucket, self.key, self.expected, f"upload {self.key}", send) as made:
            yield made

    def _part(self, target: dict[str, str], number: int, span: tuple[int, int]) -> Part:
        body, checksum = self._read(span), self.expected.parts[number - 1]
        if base64.b64encode(hashlib.sha256(body).digest()).decode() != checksum:
            raise StepError(
                f"{self.path.name}: bytes {span[0]} to {span[1]} changed since they were read: "
                "something else writes to the file"
            )
        answer = self.bucket.client.upload_part(
            **target, PartNumber=number, Body=body, ChecksumSHA256=checksum
        )
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        stored = answer.get("ChecksumSHA256")
        if stored:
            part["ChecksumSHA256"] = stored
        if (stored or _md5(answer["ETag"])) != (checksum if stored else _md5_of(body)):
            raise StepError(f"{self.key}: bytes {span[0]} to {span[1]} did not arrive as they were sent")
        return part

    def _read(self, span: tuple[int, int]) -> bytes:
        with self.path.open("rb") as file:
            file.seek(span[0])
            return file.read(span[1] - span[0] + 1)


def _md5(etag: str) -> str:
    return etag.strip('"').lower()


def _md5_of(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Copy:
    """One copy: from where to where, and what it has to be (without checksums of parts: what it is)."""

    bucket: Bucket
    source: str
    key: str
    expected: Fingerprint

    @contextmanager
    def pending(self) -> Iterator[Pending]:
        """The copy, verified, before it appears.

        Raises:
            StepError: the source is gone or has other bytes, or S3 failed.
        """
        self._check_size()
        progress = Progress(f"copying {self.key}", self.expected.size)

        def send(target: dict[str, str], number: int, span: tuple[int, int]) -> Part:
            part = self._part(target, number, span)
            progress(span[1] - span[0] + 1)
            return part

        action = f"copy {self.source} to {self.key}"
        with pending(self.bucket, self.key, self.expected, action, send) as made:
            if self.expected.parts and any("ChecksumSHA256" not in part for part in made.parts):
                self._read_back()
            yield made

    def _check_size(self) -> None:
        info = self.bucket.head(self.source)
        if info is None:
            raise StepError(f"{self.bucket}: {self.source} vanished before it could be copied to {self.key}")
        if info.size != self.expected.size or not info.size:
            raise StepError(f"{self.source} has {info.size} bytes, not {self.expected.size}")

    def _part(self, target: dict[str, str], number: int, span: tuple[int, int]) -> Part:
        first, last = span
        answer = self.bucket.client.upload_part_copy(
            **target,
            PartNumber=number,
            CopySource={"Bucket": self.bucket.name, "Key": self.source},
            CopySourceRange=f"bytes={first}-{last}",
        )["CopyPartResult"]
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        if stored := answer.get("ChecksumSHA256"):
            if self.expected.parts and stored != self.expected.parts[number - 1]:
                raise StepError(f"{self.source}: bytes {first} to {last} are not those that were uploaded")
            part["ChecksumSHA256"] = stored
        return part

    def _read_back(self) -> None:
        stored = self.bucket.sha256(self.source)
        if stored != self.expected.sha256:
            raise StepError(f"{self.source} has sha256 {stored}, not {self.expected.sha256}")
