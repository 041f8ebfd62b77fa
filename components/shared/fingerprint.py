"""A file's size and checksums, which must be the same at the other end of every transfer."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
PART_BYTES = 16 * MIB
"""Objects travel in parts of this size, each with a checksum: small enough for a slow server to answer in
time; S3 allows 5 MiB to 5 GiB."""

_MOST_PARTS = 10_000
_CHUNK = MIB


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
    with path.open("rb") as file:
        for start in range(0, size, part_bytes):
            part, left = hashlib.sha256(), min(part_bytes, size - start)
            while left and (chunk := file.read(min(left, _CHUNK))):
                whole.update(chunk)
                part.update(chunk)
                left -= len(chunk)
            parts.append(base64.b64encode(part.digest()).decode())
    return Fingerprint(size, whole.hexdigest(), part_bytes, tuple(parts))


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
