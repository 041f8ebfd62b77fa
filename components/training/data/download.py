"""Bring a data set to this machine: a local folder stays where it is, an `s3://` prefix is downloaded once.

A download goes to a folder named after the exact content of the listing, so a data set that changed on S3
never mixes with an older copy. The listing is kept in a file: a million objects take disk, not memory.

Files come in parallel, each one checked, none of them twice: a file is written beside its place and renamed
when its checksum is right, so that what has its name is whole, and one that is already there is kept where
size and checksum are those of the listing. The marker is written last. A download that was cut off goes on
where it stopped.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from argosy.components.shared.files import MIB, fed
from argosy.components.shared.retries import before_next
from argosy.components.shared.s3 import Bucket, connect
from argosy.components.shared.s3_client import status
from argosy.components.training.data.many_files import Progress, cache_folder, in_order
from argosy.errors import StepError, UsageError
from argosy.step.files import published

if TYPE_CHECKING:
    from hashlib import _Hash

log = logging.getLogger(__name__)

MARKER = ".complete"
_HEX = {"md5": re.compile(r"[0-9a-f]{32}"), "sha256": re.compile(r"[0-9a-f]{64}")}
_SPLITS = ("train", "val")


def local_folder(dataset: str, *, workers: int, cache: Path | None = None) -> Path:
    """The folder that holds `dataset`, downloaded first where it is an `s3://bucket/prefix`.

    Args:
        dataset: an `s3://` prefix or a folder on this machine.
        workers: as in the recipe; four times as many files are downloaded at a time, for they mostly wait.
        cache: where downloads are kept; by default a folder of `cache_folder`.

    Raises:
        UsageError: the folder does not exist, the address is malformed, nothing lies under the prefix, or a
            key there cannot be a file's path.
        StepError: S3 failed, a file arrived damaged, or the disk is full.
    """
    if dataset.startswith("s3://"):
        return _download(dataset, cache or cache_folder("datasets"), workers)
    if not dataset.strip():
        raise UsageError("dataset is empty; give an s3:// prefix or a folder")
    if "://" in dataset:
        raise UsageError(f"dataset {dataset!r} is neither an s3:// prefix nor a folder")
    if not Path(dataset).is_dir():
        raise UsageError(
            f"dataset {dataset!r} is not a folder on this machine (for S3 write s3://bucket/prefix)"
        )
    return Path(dataset)


def _download(uri: str, root: Path, workers: int) -> Path:
    name, _, prefix = uri.removeprefix("s3://").partition("/")
    bucket = connect(name)
    with bucket.errors(f"list the data set {uri}"):
        listing = list_objects(bucket, prefix.strip("/") + "/" if prefix.strip("/") else "")
    if not listing.files:
        raise UsageError(f"dataset {uri!r}: nothing lies under its {'/ or '.join(_SPLITS)}/")
    target = root / _folder_name(name, listing)
    marker = target / MARKER
    log.info("data set %s: %d files, %.1f MB", uri, listing.files, listing.bytes / 1e6)
    download(bucket, listing, target, threads=min(max(8, 4 * workers), 64), trusted=marker.exists())
    marker.write_text(f"{listing.files} files of {uri}\n", encoding="utf-8")
    log.info("data set %s lies in %s", uri, target)
    return target


def _folder_name(bucket: str, listing: Listing) -> str:
    """Files that were removed on S3 are in no listing any more, so they are in no folder of that name."""
    return hashlib.sha256(f"{bucket}/{listing.prefix}\0{listing.digest}".encode()).hexdigest()[:24]


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
        before_sleep=before_next(log),
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
        return fed(self.start(), path).hexdigest() == self.value


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
    for split in _SPLITS:
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
