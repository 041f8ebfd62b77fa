"""Files of a step: size and checksums, which every transfer must keep, and the folder that they lie in."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.errors import StepError

if TYPE_CHECKING:
    from hashlib import _Hash

MIB = 1 << 20
PART_BYTES = 16 * MIB
"""Objects travel in parts of this size, each with a checksum: small enough for a slow server to answer in
time; S3 allows 5 MiB to 5 GiB."""
_MOST_PARTS = 10_000
_CHUNK = 8 * MIB  # so large that threads hardly wait for each other
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Fingerprint:
    """A file's checksums.

    Attributes:
        size: in bytes.
        sha256: of all of it, hexadecimal.
        part_bytes: the size of all parts but the last.
        parts: the SHA-256 of each part, in base 64, as S3 writes it.
    """

    size: int
    sha256: str
    part_bytes: int
    parts: tuple[str, ...]

    def spans(self) -> list[tuple[int, int]]:
        """The first and last byte of each part."""
        starts = range(0, self.size, self.part_bytes)
        return [(start, min(start + self.part_bytes, self.size) - 1) for start in starts]


def fingerprint(path: Path, part_bytes: int = PART_BYTES) -> Fingerprint:
    """Read a file once, for its checksums.

    Args:
        path: the file.
        part_bytes: the least size of a part; larger for files that would have more than 10,000 parts.
    """
    size = path.stat().st_size
    part_bytes = max(part_bytes, -(-size // _MOST_PARTS))
    whole, parts = hashlib.sha256(), []
    with path.open("rb") as file, ThreadPoolExecutor(1) as pool:
        for start in range(0, size, part_bytes):
            part, left = hashlib.sha256(), min(part_bytes, size - start)
            while left and (chunk := file.read(min(left, _CHUNK))):
                beside = pool.submit(whole.update, chunk)
                part.update(chunk)
                beside.result()
                left -= len(chunk)
            parts.append(base64.b64encode(part.digest()).decode())
    return Fingerprint(size, whole.hexdigest(), part_bytes, tuple(parts))


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file; other threads can work meanwhile."""
    return fed(hashlib.sha256(), path).hexdigest()


def fed(digest: _Hash, path: Path) -> _Hash:
    """The digest, with a file's content added: `hashlib.file_digest` is Python 3.11's."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder for the block's results; whatever makes the block fail, nothing half-written is left.

    Raises:
        StepError: the disk is full, or another error of the file system.
    """
    folder = Path(tempfile.mkdtemp(prefix="argosy-"))
    try:
        yield folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        # Libraries wrap an error of the disk in one of their own, as that of a failed download.
        found = _disk_error(error)
        if found is not None:
            raise StepError(
                f"{folder.parent}: {found}; give the step more disk or memory-backed space"
            ) from error
        if isinstance(error, OSError):
            raise StepError(f"could not write below {folder.parent}: {error}") from error
        raise


def _disk_error(error: BaseException | None) -> str | None:
    """The file system's own words, if an error comes from it."""
    texts = []
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return os.strerror(error.errno)
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    said = (os.strerror(number) for number in _FULL)
    return next((words for words in said if any(words in text for text in texts)), None)
