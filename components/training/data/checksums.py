"""What S3 tells about the content of an object, and whether a file has it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlib import _Hash

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
