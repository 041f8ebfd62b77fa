"""Layers of an image: archives that are the same, byte for byte, whenever their files are."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from argosy.code.images import BuildError

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_CHUNK = 1 << 20
_LEVEL = 6


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BuildError(f"cannot read '{error.filename}': {error.strerror}") from None


@dataclass(frozen=True)
class File:
    """One file of a layer."""

    content: bytes | Path
    executable: bool = False

    @property
    def size(self) -> int:
        """How many bytes it has."""
        if isinstance(self.content, bytes):
            return len(self.content)
        with _readable():
            return self.content.stat().st_size

    def read(self) -> bytes:
        """Its bytes; raises BuildError if it cannot be read."""
        if isinstance(self.content, bytes):
            return self.content
        with _readable():
            return self.content.read_bytes()


@dataclass(frozen=True)
class Blob:
    """Content by its digest, in memory or in a file."""

    digest: str
    size: int
    content: bytes | Path

    @classmethod
    def of(cls, data: bytes) -> "Blob":
        """The blob of these bytes."""
        return cls(digest_of(data), len(data), data)

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, piece by piece."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


@dataclass(frozen=True)
class Layer:
    """A compressed layer; `diff_id` is the digest of what it unpacks to, `purpose` a word for history."""

    blob: Blob
    diff_id: str
    purpose: str

    def descriptor(self) -> dict[str, Any]:
        """How a manifest names it."""
        return {"mediaType": MEDIA_TYPE, "digest": self.blob.digest, "size": self.blob.size}


class _Hashed:
    """Writes through, and knows the digest and the size of what went by."""

    def __init__(self, to: Any) -> None:
        self._to, self._sha, self.size = to, hashlib.sha256(), 0

    def tell(self) -> int:
        """How much went by."""
        return self.size

    def flush(self) -> None:
        """Nothing is kept back here."""

    def write(self, data: Any) -> int:
        self._sha.update(data)
        self.size += len(data)
        self._to.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha.hexdigest()}"


def digest_of(data: bytes) -> str:
    """The digest by which a registry knows these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make_layer(files: Mapping[str, File], purpose: str, to: Path | None = None) -> Layer:
    """The layer of `files`, by their paths in the image; kept in the file `to`, or in memory.

    Sorted, owned by root, with one time for all: the same files give the same digest.
    """
    if to is not None:
        with to.open("wb") as file:
            digest, size, diff_id = _write(files, file)
        return Layer(Blob(digest, size, to), diff_id, purpose)
    memory = io.BytesIO()
    digest, size, diff_id = _write(files, memory)
    return Layer(Blob(digest, size, memory.getvalue()), diff_id, purpose)


def _write(files: Mapping[str, File], to: IO[bytes]) -> tuple[str, int, str]:
    packed = _Hashed(to)
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=packed, mtime=0) as zipped:
        plain = _Hashed(zipped)
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            for folder in _folders(files):
                archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o755, 0))
            for path in sorted(files):
                data = files[path].read()
                mode = 0o755 if files[path].executable else 0o644
                archive.addfile(_entry(path, tarfile.REGTYPE, mode, len(data)), io.BytesIO(data))
    return packed.digest, packed.size, plain.digest


def _entry(path: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry  # its time, owner and group are 0


def _folders(files: Mapping[str, File]) -> list[str]:
    found = {str(parent) for path in files for parent in Path(path).parents}
    return sorted(found - {"."})
