"""Copying inside S3: any size, in parallel parts, verified before the copy appears.

Whatever its size, the copy is a multipart upload whose parts S3 takes from the source (`s3_multipart`).
Before it appears, the checksum that S3 computed over each part is compared with the file's own: nothing is
downloaded, and bytes that were damaged on their way never appear.  A server that computes none has the source
read back instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argosy.components.shared.fingerprint import Fingerprint
from argosy.components.shared.progress import Progress
from argosy.components.shared.s3_multipart import Part, Pending, pending
from argosy.errors import StepError

if TYPE_CHECKING:
    from argosy.components.shared.s3 import Bucket


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
