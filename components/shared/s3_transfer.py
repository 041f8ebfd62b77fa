"""Objects that appear whole: in parts, each verified, and then with one last call that carries a condition.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from argosy.components.shared.files import Fingerprint
from argosy.components.shared.s3_client import THREADS, cause, conditionally
from argosy.errors import StepError

log = logging.getLogger(__name__)

MB = 1_000_000
# Smaller transfers are over before anybody would look.
SMALLEST = 64 << 20
_STEP = 0.10
_SECONDS = 10.0


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
            if self._total >= SMALLEST and self._due():
                self._tell()

    def _due(self) -> bool:
        step = self._done / self._total - self._told_share
        late = time.monotonic() - self._told_at >= _SECONDS
        return step >= _STEP or late or self._done == self._total

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


class Store(Protocol):
    """A bucket (s3.py), as a transfer sees it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def client(self) -> Any:
        """boto3's client of its server."""

    def errors(self, action: str) -> AbstractContextManager[None]:
        """While inside: what the server refuses is a StepError that tells the action."""

    def head(self, key: str) -> Any:
        """The `size` of an object, in bytes, and more; None where there is none."""

    def sha256(self, key: str) -> str:
        """The checksum of an object, read back."""


@dataclass
class Pending:
    """An object whose parts are on the server, and that does not exist yet."""

    bucket: Store
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
def pending(bucket: Store, key: str, expected: Fingerprint, action: str, send: SendPart) -> Iterator[Pending]:
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


def _abort(bucket: Store, target: dict[str, str]) -> None:
    try:
        bucket.client.abort_multipart_upload(**target)
    except (ClientError, BotoCoreError) as error:
        log.warning("%s: an unfinished upload of %s stays behind: %s", bucket, target["Key"], cause(error))


@dataclass(frozen=True)
class Upload:
    """One upload: which file to where, and what the file was when it was read."""

    bucket: Store
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

    bucket: Store
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
