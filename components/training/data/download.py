"""Download the files of a listing into a folder: in parallel, each one checked, none of them twice.

A file is written beside its place and renamed when its checksum is right, so that what has its name is whole.
A file that is already there is kept where size and checksum are those of the listing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from argosy.components.shared.s3 import MIB, Bucket
from argosy.components.shared.s3_errors import status
from argosy.components.training.data.listing import Listing, RemoteFile
from argosy.components.training.data.progress import Progress
from argosy.components.training.data.windowed import in_order
from argosy.errors import StepError
from argosy.step.files import published

if TYPE_CHECKING:
    from hashlib import _Hash


log = logging.getLogger(__name__)


class Damaged(StepError):
    """A file did not arrive as S3 has it."""


@dataclass(frozen=True)
class Download:
    """Brings files of `bucket` below `target`; `trusted`: those of the right size need no second look."""

    bucket: Bucket
    prefix: str
    target: Path
    trusted: bool

    def bring(self, file: RemoteFile) -> tuple[int, int]:
        """Make sure that one file is there; its size, and how many bytes had to be moved.

        Raises:
            StepError: it changed since it was listed, or arrived damaged four times.
            botocore's errors: S3 failed.
        """
        path = self.target / file.path
        present = path.is_file() and path.stat().st_size == file.size
        if present:
            expected = of_etag(file.etag, self.bucket.name)
            if self.trusted or (expected and expected.matches(path)):
                return file.size, 0
        return file.size, self._fetch(file, path, present)

    @retry(
        # The client repeats requests by itself, but not the reading of an answer that breaks off.
        retry=retry_if_exception_type(
            (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, FlexibleChecksumError, Damaged)
        ),
        stop=stop_after_attempt(4),
        wait=wait_exponential(max=8),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    def _fetch(self, file: RemoteFile, path: Path, present: bool) -> int:
        answer = self._get(file)
        with closing(answer["Body"]) as body:
            expected = of_answer(answer, self.bucket.name)
            # An entity tag that is no MD5 said nothing; now it is known what there is to compare with.
            if present and (expected is None or expected.matches(path)):
                return 0
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(file, path, body, expected)
        return file.size

    def _get(self, file: RemoteFile) -> Mapping[str, Any]:
        key = self.prefix + file.path
        try:
            answer: Mapping[str, Any] = self.bucket.client.get_object(
                Bucket=self.bucket.name, Key=key, IfMatch=f'"{file.etag}"'
            )
        except ClientError as error:
            if status(error) in (404, 412):
                raise StepError(f"{self._name(file)} changed since it was listed; start again") from error
            raise
        return answer

    def _write(self, file: RemoteFile, path: Path, body: Any, expected: Checksum | None) -> None:
        digest = expected.start() if expected else None
        with published(path) as beside:
            with beside.open("wb") as stream:
                for chunk in body.iter_chunks(MIB):
                    stream.write(chunk)
                    if digest:
                        digest.update(chunk)
            size = beside.stat().st_size
            if size != file.size:
                raise Damaged(f"{self._name(file)} arrived with {size} of {file.size} bytes")
            if expected and digest and digest.hexdigest() != expected.value:
                raise Damaged(f"{self._name(file)} arrived damaged: its {expected.algorithm} is another")

    def _name(self, file: RemoteFile) -> str:
        return f"s3://{self.bucket.name}/{self.prefix}{file.path}"


def download(bucket: Bucket, listing: Listing, target: Path, *, threads: int, trusted: bool) -> None:
    """Bring every file of the listing below `target`.

    Args:
        bucket: where they are.
        listing: which they are.
        target: the folder, made if need be.
        threads: how many are brought at a time.
        trusted: whether the folder was once complete: then sizes are compared, and checksums are not.

    Raises:
        StepError: S3 failed, a file changed or arrived damaged, or the disk is full.
    """
    job = Download(_with_connections(bucket, threads), listing.prefix, target, trusted)
    progress = Progress("downloaded", listing.files, listing.bytes)
    target.mkdir(parents=True, exist_ok=True)
    try:
        with bucket.errors("download the data set"):
            for size, moved in in_order(job.bring, listing, threads):
                progress.add(size, moved)
    except OSError as error:
        raise StepError(f"the data set could not be written to {target}: {error}") from error


def _with_connections(bucket: Bucket, count: int) -> Bucket:
    """The same bucket, with a connection for each thread; the client's own ten would be opened anew."""
    meta = bucket.client.meta
    client = boto3.Session().client(
        "s3",
        endpoint_url=meta.endpoint_url,
        region_name=meta.region_name,
        config=meta.config.merge(Config(max_pool_connections=count)),
    )
    return Bucket(bucket.name, client)


_HEX = {"md5": re.compile(r"[0-9a-f]{32}"), "sha256": re.compile(r"[0-9a-f]{64}")}


@dataclass(frozen=True)
class Checksum:
    """A hexadecimal checksum of a whole object; `algorithm` is md5 or sha256."""

    algorithm: str
    value: str

    def start(self) -> _Hash:
        """An empty digest of this kind."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def matches(self, path: Path) -> bool:
        """Whether the file has this checksum."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.start).hexdigest() == self.value


def of_etag(etag: str, bucket: str) -> Checksum | None:
    """The MD5 that an entity tag usually is; None where it is known to be something else.

    The tag of an upload in parts ends with their number; those of directory buckets (`--x-s3`) are random.
    """
    if bucket.endswith("--x-s3"):
        return None
    return _checksum("md5", etag.strip('"'))


def of_answer(answer: Mapping[str, Any], bucket: str) -> Checksum | None:
    """The strongest checksum in S3's answer to a GET; None where it holds none of the whole object.

    That is the SHA-256 that S3 keeps, the one that the uploader noted, or else the MD5 in the entity tag. A
    tag is no MD5 where the object is encrypted with a key of KMS or of the client.
    """
    kept = _hex_of_base64(answer.get("ChecksumSHA256", ""))
    noted = answer.get("Metadata", {}).get("sha256", "")
    for value in (kept, noted):
        if found := _checksum("sha256", value):
            return found
    if "kms" in answer.get("ServerSideEncryption", "") or answer.get("SSECustomerAlgorithm"):
        return None
    return of_etag(answer.get("ETag", ""), bucket)


def _checksum(algorithm: str, value: str) -> Checksum | None:
    return Checksum(algorithm, value) if _HEX[algorithm].fullmatch(value) else None


def _hex_of_base64(text: str) -> str:
    """Empty for a checksum of checksums, `...-7`, as uploads in parts have it."""
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return ""
