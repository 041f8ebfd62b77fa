"""Copying inside S3: any size, in parallel parts, verified before the copy appears.

Whatever its size, the copy is a multipart upload whose parts S3 takes from the source.  The object appears
as a whole with the last call, and that call carries the condition (absent, or unchanged).  Before it, the
checksum that S3 computed over each part is compared with the file's own: nothing is downloaded, and bytes
that were damaged on their way never appear.  A server that computes none has the source read back instead.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from argosy.components.shared.fingerprint import Fingerprint
from argosy.components.shared.progress import Progress
from argosy.components.shared.s3_client import THREADS
from argosy.components.shared.s3_errors import cause, conditionally
from argosy.errors import StepError

if TYPE_CHECKING:
    from argosy.components.shared.s3 import Bucket

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copy:
    """One copy: from where to where, and what it has to be (without checksums of parts: what it is)."""

    bucket: Bucket
    source: str
    key: str
    expected: Fingerprint

    def run(self, condition: dict[str, str]) -> bool:
        """Make the copy; False where the condition does not hold, and then nothing has changed.

        Args:
            condition: `{"IfNoneMatch": "*"}`, or `{"IfMatch": ETAG}`.

        Raises:
            StepError: the source is gone or has other bytes, or S3 failed.
        """
        self._check_size()
        client, target = self.bucket.client, {"Bucket": self.bucket.name, "Key": self.key}
        with self.bucket.errors(f"copy {self.source} to {self.key}"), ExitStack() as undo:
            noted = {"sha256": self.expected.sha256} if self.expected.sha256 else {}
            begun = client.create_multipart_upload(**target, ChecksumAlgorithm="SHA256", Metadata=noted)
            target["UploadId"] = begun["UploadId"]
            undo.callback(self._abort, target)
            parts = self._parts(target)
            whole = {"MultipartUpload": {"Parts": parts}, **condition}
            if not conditionally(lambda: client.complete_multipart_upload(**target, **whole)):
                return False
            undo.pop_all()
            return True

    def _check_size(self) -> None:
        info = self.bucket.head(self.source)
        if info is None:
            raise StepError(f"{self.bucket}: {self.source} vanished before it could be copied to {self.key}")
        if info.size != self.expected.size or not info.size:
            raise StepError(f"{self.source} has {info.size} bytes, not {self.expected.size}")

    def _parts(self, target: dict[str, str]) -> list[dict[str, Any]]:
        progress = Progress(f"copying {self.key}", self.expected.size)
        numbered = enumerate(self.expected.spans(), 1)
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(lambda one: self._part(target, one[0], one[1], progress), numbered))
        if self.expected.parts and any("ChecksumSHA256" not in part for part in parts):
            self._read_back()
        return parts

    def _part(
        self, target: dict[str, str], number: int, span: tuple[int, int], progress: Progress
    ) -> dict[str, Any]:
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
        progress(last - first + 1)
        return part

    def _read_back(self) -> None:
        stored = self.bucket.sha256(self.source)
        if stored != self.expected.sha256:
            raise StepError(f"{self.source} has sha256 {stored}, not {self.expected.sha256}")

    def _abort(self, target: dict[str, str]) -> None:
        try:
            self.bucket.client.abort_multipart_upload(**target)
        except (ClientError, BotoCoreError) as error:
            log.warning("%s: an unfinished copy to %s stays behind: %s", self.bucket, self.key, cause(error))
