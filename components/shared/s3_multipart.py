"""Objects that appear whole: in parts, each verified, and then with one last call that carries a condition.

Until that call there is no object: a multipart upload has no key, is in no listing, and no reader can see it.
So it is where an object of any size is staged.  Given up in the middle, it leaves nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from argosy.components.shared.fingerprint import Fingerprint
from argosy.components.shared.s3_client import THREADS
from argosy.components.shared.s3_errors import cause, conditionally

if TYPE_CHECKING:
    from argosy.components.shared.s3 import Bucket

log = logging.getLogger(__name__)

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
