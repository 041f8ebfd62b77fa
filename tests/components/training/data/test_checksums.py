"""What an entity tag, a header or a note says about an object's content."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from argosy.components.training.data.download import Checksum, of_answer, of_etag

MD5 = hashlib.md5(b"content").hexdigest()
SHA = hashlib.sha256(b"content")
KEPT = base64.b64encode(SHA.digest()).decode()


@pytest.mark.parametrize(
    ("etag", "bucket", "expected"),
    [
        (f'"{MD5}"', "data", Checksum("md5", MD5)),
        (MD5, "data", Checksum("md5", MD5)),
        (f'"{MD5}-3"', "data", None),  # an upload in three parts
        (f'"{MD5}"', "data--use1-az4--x-s3", None),  # a directory bucket
        ('"0x8DC"', "data", None),
        ("", "data", None),
    ],
)
def test_an_entity_tag(etag: str, bucket: str, expected: Checksum | None) -> None:
    assert of_etag(etag, bucket) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"ETag": f'"{MD5}"'}, Checksum("md5", MD5)),
        ({"ETag": f'"{MD5}"', "ChecksumSHA256": KEPT}, Checksum("sha256", SHA.hexdigest())),
        ({"ETag": f'"{MD5}-2"', "ChecksumSHA256": KEPT + "-2"}, None),
        (
            {"ETag": f'"{MD5}-2"', "Metadata": {"sha256": SHA.hexdigest()}},
            Checksum("sha256", SHA.hexdigest()),
        ),
        ({"ETag": f'"{MD5}"', "Metadata": {"sha256": "unknown"}}, Checksum("md5", MD5)),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "aws:kms"}, None),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "aws:kms:dsse"}, None),
        ({"ETag": f'"{MD5}"', "ServerSideEncryption": "AES256"}, Checksum("md5", MD5)),
        ({"ETag": f'"{MD5}"', "SSECustomerAlgorithm": "AES256"}, None),
        ({}, None),
    ],
)
def test_an_answer(answer: dict[str, Any], expected: Checksum | None) -> None:
    assert of_answer(answer, "data") == expected


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_file(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    checksum = Checksum(algorithm, hashlib.new(algorithm, b"content").hexdigest())
    assert checksum.matches(path)
    path.write_bytes(b"Content")
    assert not checksum.matches(path)
