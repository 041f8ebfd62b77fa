"""Bring a data set to this machine: a local folder stays where it is, an `s3://` prefix is downloaded once.

A download goes to a folder named after the exact content of the listing, so a data set that changed on S3
never mixes with an older copy. Each file is written beside and then renamed; the marker is written last. A
download that was cut off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from argosy.components.shared.s3 import Bucket, connect
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

MARKER = ".complete"
SPLITS = ("train", "val")


@dataclass(frozen=True)
class RemoteFile:
    """One object of the data set; `path` is relative to the data set's prefix."""

    key: str
    path: str
    size: int
    etag: str


def local_folder(dataset: str, *, workers: int, cache: Path | None = None) -> Path:
    """The folder that holds `dataset`, downloaded first where it is an `s3://bucket/prefix`.

    Args:
        dataset: an `s3://` prefix or a folder on this machine.
        workers: how many files are downloaded at a time.
        cache: where downloads are kept; by default a folder of the system's temporary one.

    Raises:
        UsageError: the folder does not exist, the address is malformed, or nothing lies under the prefix.
        StepError: S3 failed, or a file arrived incomplete.
    """
    if dataset.startswith("s3://"):
        root = cache or Path(tempfile.gettempdir()) / "argosy-datasets"
        return _download(dataset, root, workers)
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
    prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
    with bucket.errors(f"list the data set {uri}"):
        files = list(_listing(bucket, prefix))
    if not files:
        raise UsageError(f"dataset {uri!r}: nothing lies under its {'/ or '.join(SPLITS)}/")
    target = root / _digest(uri, files)
    if not (target / MARKER).exists():
        with bucket.errors(f"download the data set {uri}"):
            _fetch_all(bucket, files, target, workers)
        (target / MARKER).write_text(f"{len(files)} files of {uri}\n", encoding="utf-8")
    log.info("data set %s lies in %s (%d files)", uri, target, len(files))
    return target


def _listing(bucket: Bucket, prefix: str) -> Iterator[RemoteFile]:
    """Every object of both splits, in the order of their keys, except those that stand for folders."""
    pages = bucket.client.get_paginator("list_objects_v2")
    for split in SPLITS:
        for page in pages.paginate(Bucket=bucket.name, Prefix=f"{prefix}{split}/"):
            for item in page.get("Contents", ()):
                path = item["Key"].removeprefix(prefix)
                if path.endswith("/"):
                    continue
                if ".." in PurePosixPath(path).parts:
                    raise UsageError(f"object {item['Key']!r} of {bucket} would leave its folder")
                yield RemoteFile(item["Key"], path, item["Size"], item["ETag"])


def _digest(uri: str, files: Iterable[RemoteFile]) -> str:
    digest = hashlib.sha256(uri.encode())
    for file in files:
        digest.update(f"\0{file.path}\0{file.size}\0{file.etag}".encode())
    return digest.hexdigest()[:24]


def _fetch_all(bucket: Bucket, files: list[RemoteFile], target: Path, workers: int) -> None:
    total = sum(file.size for file in files)
    log.info("downloading %d files, %.1f MB", len(files), total / 1e6)
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(_fetch, bucket, file, target) for file in files]
        try:
            _follow(jobs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _follow(jobs: list[Future[None]]) -> None:
    """Wait for all downloads, re-raise the first error, and tell every tenth of the way."""
    step = max(1, len(jobs) // 10)
    for done, job in enumerate(as_completed(jobs), start=1):
        job.result()
        if done % step == 0 or done == len(jobs):
            log.info("downloaded %d of %d files", done, len(jobs))


@retry(
    # The client repeats requests by itself, but not the reading of an answer that breaks off.
    retry=retry_if_exception_type((IncompleteReadError, ReadTimeoutError, ResponseStreamingError)),
    stop=stop_after_attempt(4),
    wait=wait_exponential(max=8),
    before_sleep=before_sleep_log(log, logging.WARNING),
    reraise=True,
)
def _fetch(bucket: Bucket, file: RemoteFile, target: Path) -> None:
    """Write one file beside its place, check its size, rename it; a file that is already there is kept."""
    path = target / file.path
    if path.exists() and path.stat().st_size == file.size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            body = bucket.client.get_object(Bucket=bucket.name, Key=file.key)["Body"]
            for chunk in body.iter_chunks(1 << 20):
                stream.write(chunk)
        size = beside.stat().st_size
        if size != file.size:
            raise StepError(f"s3://{bucket.name}/{file.key} arrived with {size} of {file.size} bytes")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
