"""Marks of artifacts, by which it is known later whether they are still as a step left them.

A mark has size, time and, where that is cheap, a hash of the content: it is read only if that takes no more
than a small part of the time that the step took to make it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHARE = 0.05  # of the step's time
_LEAST, _MOST = 0.001, 5.0  # seconds
_RATE = 250e6  # bytes that are hashed in a second
_OPENED = 5e-5  # seconds for each file
_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """An artifact as it was: its files' bytes, the time of its last change in nanoseconds, its hash."""

    size: int
    modified: int
    sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"size": self.size, "modified": self.modified, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Mark:
        """The object that `to_dict` wrote."""
        return cls(raw["size"], raw["modified"], raw["sha256"])


def mark(path: Path, took: float | None, sha256: str | None = None) -> Mark:
    """The mark of an artifact that took so many seconds to make; None: its content is read in any case.

    Raises OSError.
    """
    size, modified, number = _measured(path)
    allowed = None if took is None else min(max(_SHARE * took, _LEAST), _MOST)
    if sha256 is None and (allowed is None or size / _RATE + number * _OPENED <= allowed):
        with suppress(OSError):  # a file that nobody may read
            sha256 = content_hash(path)
    return Mark(size, modified, sha256)


def _measured(path: Path) -> tuple[int, int, int]:
    """The bytes of an artifact's files, the time of the last change, and how many files there are."""
    size = modified = number = 0
    for status in _statuses(path):
        number += 1
        size += status.st_size
        modified = max(modified, status.st_mtime_ns)
    return size, modified, number


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Of all files of an artifact; a folder's own size and time say nothing of them."""
    if not path.is_dir():
        yield path.stat()
        return
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            inner = Path(folder, name)
            if inner.is_symlink() or not inner.is_dir():
                yield inner.lstat()


def difference(path: Path, made: Mark | None) -> str:
    """In which way an artifact is not as it was made, such as `is lost`; empty where it is."""
    if not path.exists():
        return "is lost"
    if made is None:  # of before marks were kept
        return ""
    try:
        size, modified, _ = _measured(path)
        if size != made.size:
            return f"has {size:,} bytes, of {made.size:,}"
        if made.sha256 is None:
            return "" if modified == made.modified else "was changed since"
        return "" if content_hash(path) == made.sha256 else "has another content"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def content_hash(path: Path) -> str:
    """A hash of a file's bytes, or of a folder's names and files; a link counts as what it names."""
    digest = hashlib.sha256()
    if not path.is_dir():
        with path.open("rb") as file:  # hashlib.file_digest is Python 3.11's
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()
    for inner in sorted(path.rglob("*")):
        name = inner.relative_to(path).as_posix()
        if inner.is_symlink():
            digest.update(named(f"link {name}\0{inner.readlink()}\n"))
        elif inner.is_file():
            digest.update(named(f"file {name}\0{content_hash(inner)}\n"))
        else:
            digest.update(named(f"folder {name}\n"))
    return digest.hexdigest()


def named(text: str) -> bytes:
    """A text with names of files, which need not be UTF-8, as bytes."""
    return text.encode("utf-8", "surrogateescape")
