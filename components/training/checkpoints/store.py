"""Where checkpoints lie: a folder, or a prefix of an S3 bucket. Names hold all their bytes, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from argosy.components.shared.s3 import Bucket, connect
from argosy.errors import StepError, UsageError
from argosy.step.files import PARTIAL, published


class Store(Protocol):
    """A flat place for a few named blobs; its text is its address. Methods raise StepError on failure."""

    def names(self) -> list[str]:
        """The names, sorted."""

    def read(self, name: str) -> bytes | None:
        """All bytes of a name; None where it does not exist."""

    def write(self, name: str, data: BytesIO) -> None:
        """Write or replace a name: afterwards it has all of `data`, or what it had before."""

    def delete(self, name: str) -> None:
        """Remove a name, if it exists."""


@dataclass(frozen=True)
class FolderStore:
    """A folder. A file is written beside its place, forced onto the disk, and renamed."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def names(self) -> list[str]:
        """The names, sorted; remains of writes that were killed are removed on the way."""
        with self._errors("be read"):
            for partial in self.folder.glob(f"{PARTIAL}*"):
                partial.unlink(missing_ok=True)
            return sorted(path.name for path in self.folder.glob("[!.]*") if path.is_file())

    def read(self, name: str) -> bytes | None:
        """All bytes of a file; None where it does not exist."""
        with self._errors("be read"):
            try:
                return (self.folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, data: BytesIO) -> None:
        """Write or replace a file: after a crash it is there as a whole, or as it was before."""
        with self._errors("be written"):
            with published(self.folder / name, sync=True) as beside:
                beside.write_bytes(data.getbuffer())
            self._sync_folder()

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""
        with self._errors("be written"):
            (self.folder / name).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        """Force the new name itself onto the disk."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StepError(f"folder {self.folder} cannot {what}: {error.strerror or error}") from error


@dataclass(frozen=True)
class S3Store:
    """A prefix (with its slash) of a bucket. A name appears with the one request that puts all of it."""

    bucket: Bucket
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket.name}/{self.prefix.rstrip('/')}"

    def names(self) -> list[str]:
        """The names, sorted."""
        names = (key.removeprefix(self.prefix) for key in self.bucket.keys(self.prefix))
        return sorted(name for name in names if name and "/" not in name)

    def read(self, name: str) -> bytes | None:
        """All bytes of an object; None where it does not exist."""
        found = self.bucket.read(self.prefix + name)
        return found[0] if found else None

    def write(self, name: str, data: BytesIO) -> None:
        """Put an object; S3 checks that all of it arrived."""
        with self.bucket.errors(f"write {self.prefix}{name}"):
            self.bucket.client.put_object(
                Bucket=self.bucket.name, Key=self.prefix + name, Body=data, ChecksumAlgorithm="SHA256"
            )

    def delete(self, name: str) -> None:
        """Remove an object, if it exists."""
        with self.bucket.errors(f"delete {self.prefix}{name}"):
            self.bucket.client.delete_object(Bucket=self.bucket.name, Key=self.prefix + name)


def open_store(place: str, folder: str) -> Store:
    """`folder` below `place`, which is a folder of this machine or an `s3://bucket/prefix`.

    Raises:
        UsageError: `place` is malformed, or no folder can be made there.
        StepError: the bucket does not exist or does not answer.
    """
    if place.startswith("s3://"):
        name, _, prefix = place.removeprefix("s3://").partition("/")
        return S3Store(connect(name), "/".join(part for part in (prefix.strip("/"), folder) if part) + "/")
    if "://" in place:
        raise UsageError(f"checkpoint {place!r} is neither an s3:// prefix nor a folder")
    path = Path(place) / folder
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"checkpoint {place!r}: {path} cannot be made ({error.strerror})") from error
    return FolderStore(path)
