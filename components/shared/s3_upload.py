"""Uploading a file: any size, in parallel parts, each verified by S3, before the object appears.

Every part travels with its SHA-256, as it was computed when the file was read for the first time; S3 refuses
bytes that do not have it.  A server that knows no checksums tells the MD5 of what it got, as its entity tag.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.components.shared.fingerprint import Fingerprint
from argosy.components.shared.progress import Progress
from argosy.components.shared.s3_multipart import Part, Pending, pending
from argosy.errors import StepError

if TYPE_CHECKING:
    from argosy.components.shared.s3 import Bucket


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
