"""One S3 bucket, as the steps use it.

`connect` gives a `Bucket`; everything that S3 or the network raises becomes one `StepError` that says what
was being done and on which server.  Claims and publishing stand on its conditional writes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, PartialCredentialsError

from argosy.components.shared.s3_errors import WriteConflict, cause, code, conditionally, status
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from botocore.client import BaseClient

log = logging.getLogger(__name__)

MIB = 1 << 20
# A copied part may have 5 GiB; smaller ones keep each request well inside the read timeout.
COPY_PART_BYTES = 512 * MIB
PAGE_KEYS = 1000
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SETTINGS = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    connect_timeout=5,
    read_timeout=60,
    retries={"total_max_attempts": 4, "mode": "standard"},
)
_TRANSFER = TransferConfig(multipart_threshold=16 * MIB, multipart_chunksize=16 * MIB, max_concurrency=4)


@dataclass(frozen=True)
class ObjectInfo:
    """What S3 tells about an object.

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
        except (ClientError, BotoCoreError, S3UploadFailedError, WriteConflict) as error:
            raise StepError(f"{self}: could not {action}: {cause(error)}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key below `prefix`, page by page, in S3's order."""
        with self.errors(f"list {prefix}"):
            for page in self._pages(Prefix=prefix):
                yield from (entry["Key"] for entry in page.get("Contents", ()))

    def folders(self, prefix: str) -> Iterator[str]:
        """The names directly below `prefix` (which ends with a slash) that hold keys of their own."""
        with self.errors(f"list {prefix}"):
            for page in self._pages(Prefix=prefix, Delimiter="/"):
                found = (entry["Prefix"] for entry in page.get("CommonPrefixes", ()))
                yield from (folder[len(prefix) :].rstrip("/") for folder in found)

    def head(self, key: str) -> ObjectInfo | None:
        """Size, tag and noted checksum of an object; None where there is none."""
        with self.errors(f"look at {key}"):
            try:
                answer = self.client.head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if status(error) == 404:
                    return None
                raise
        noted = answer["Metadata"].get("sha256", "")
        return ObjectInfo(answer["ContentLength"], answer["ETag"], noted, _age(answer))

    def read(self, key: str) -> tuple[bytes, str] | None:
        """A small object's bytes and entity tag; None where there is none."""
        found = self.fetch(key)
        return None if found is None else (found.body, found.etag)

    def fetch(self, key: str) -> Stored | None:
        """A small object with its entity tag and age; None where there is none."""
        with self.errors(f"read {key}"):
            try:
                answer = self.client.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if code(error) in ("NoSuchKey", "404"):
                    return None
                raise
            return Stored(answer["Body"].read(), answer["ETag"], _age(answer))

    def sha256(self, key: str) -> str:
        """The hexadecimal SHA-256 of an object, computed from its bytes as S3 sends them."""
        digest = hashlib.sha256()
        with self.errors(f"read {key}"):
            for chunk in self.client.get_object(Bucket=self.name, Key=key)["Body"].iter_chunks(MIB):
                digest.update(chunk)
        return digest.hexdigest()

    def write_if_absent(self, key: str, body: bytes) -> bool:
        """Write a small object unless the key exists; False where it does."""
        return self._conditionally(
            f"write {key}",
            lambda: self.client.put_object(Bucket=self.name, Key=key, Body=body, IfNoneMatch="*"),
        )

    def write_if_unchanged(self, key: str, body: bytes, etag: str) -> bool:
        """Write a small object over the one with that entity tag; False where it changed meanwhile."""
        return self._conditionally(
            f"write {key}",
            lambda: self.client.put_object(Bucket=self.name, Key=key, Body=body, IfMatch=etag),
        )

    def upload(self, path: Path, key: str, sha256: str) -> None:
        """Upload a file, in parallel parts where it is large.

        S3 checks each part's checksum; `sha256` (of the whole file) is noted on the object.
        """
        extra = {"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": sha256}}
        with self.errors(f"upload {key}"):
            self.client.upload_file(str(path), self.name, key, ExtraArgs=extra, Config=_TRANSFER)

    def copy_if_absent(self, source: str, key: str) -> bool:
        """Copy inside S3, of any size, all or nothing; False where `key` exists already.

        It is a multipart copy, whatever the size: the object appears when the last call completes it, and
        that call carries the condition.
        """
        info = self.head(source)
        if info is None:
            raise StepError(f"{self}: {source} vanished before it could be copied to {key}")
        target = {"Bucket": self.name, "Key": key}
        with self.errors(f"copy {source} to {key}"), ExitStack() as undo:
            metadata = {"sha256": info.sha256} if info.sha256 else {}
            target["UploadId"] = self.client.create_multipart_upload(**target, Metadata=metadata)["UploadId"]
            undo.callback(self._abort, dict(target))
            parts = [self._copy_part(target, source, n, span) for n, span in enumerate(_spans(info.size), 1)]
            whole = {"MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
            if not conditionally(lambda: self.client.complete_multipart_upload(**target, **whole)):
                return False
            undo.pop_all()
            return True

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

    def _copy_part(self, target: dict[str, str], source: str, number: int, span: str) -> dict[str, Any]:
        answer = self.client.upload_part_copy(
            **target, PartNumber=number, CopySource={"Bucket": self.name, "Key": source}, CopySourceRange=span
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def _abort(self, target: dict[str, str]) -> None:
        try:
            self.client.abort_multipart_upload(**target)
        except (ClientError, BotoCoreError) as error:
            log.warning("%s: an unfinished copy to %s stays behind: %s", self, target["Key"], cause(error))

    def _conditionally(self, action: str, call: Callable[[], object]) -> bool:
        with self.errors(action):
            return conditionally(call)


def connect(bucket: str) -> Bucket:
    """The bucket of that name on the server that AWS_ENDPOINT_URL_S3 names (AWS where it is not set).

    Credentials come from where boto3 looks for them: environment, files, the pod's service account.

    Raises:
        UsageError: not a bucket's name, or an endpoint that is no address.
        StepError: no such bucket, no or wrong credentials, or no answer (a few tries of 5 s to connect).
    """
    if not _BUCKET_NAME.fullmatch(bucket):
        raise UsageError(f"s3_bucket {bucket!r} is no bucket's name: 3 to 63 of a-z, 0-9, dot and dash")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or None
    region = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        # A session of its own: boto3's default one remembers the credentials it first saw.
        client = boto3.Session().client("s3", endpoint_url=endpoint, region_name=region, config=_SETTINGS)
    except ValueError as error:
        raise UsageError(f"AWS_ENDPOINT_URL_S3 {endpoint!r} is no address like http://HOST:PORT") from error
    except PartialCredentialsError as error:
        raise StepError(f"S3 credentials are incomplete: {error}") from error
    found = Bucket(bucket, client)
    with found.errors("open it"):
        client.head_bucket(Bucket=bucket)
    return found


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _age(answer: dict[str, Any]) -> float:
    """Seconds between the two times of one answer, both by the server's clock."""
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - answer["LastModified"]).total_seconds())


def _spans(size: int) -> list[str]:
    starts = range(0, size, COPY_PART_BYTES)
    return [f"bytes={start}-{min(start + COPY_PART_BYTES, size) - 1}" for start in starts]
