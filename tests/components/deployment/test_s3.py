"""The bucket, on the real server."""

import os
import threading
from pathlib import Path

import pytest

from argosy.components.shared import s3
from argosy.components.shared.s3 import Bucket, sha256_of
from argosy.errors import StepError, UsageError
from tests.components.deployment.conftest import Servers


def test_a_small_object_is_written_once(bucket: Bucket, name: str) -> None:
    key = f"t/{name}/a"
    assert bucket.read(key) is None
    assert bucket.head(key) is None
    assert bucket.write_if_absent(key, b"one")
    assert not bucket.write_if_absent(key, b"two")
    body, etag = bucket.read(key) or (b"", "")
    assert body == b"one"
    assert bucket.write_if_unchanged(key, b"three", etag)
    assert not bucket.write_if_unchanged(key, b"four", etag)


def test_one_of_many_writers_wins(bucket: Bucket, name: str) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        if bucket.write_if_absent(f"t/{name}/a", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=write, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert bucket.read(f"t/{name}/a") == (str(won[0]).encode(), bucket.head(f"t/{name}/a").etag)  # type: ignore[union-attr]


def test_a_large_file_goes_up_and_is_copied_in_parts(
    bucket: Bucket, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPY_PART_BYTES", 8 * s3.MIB)
    path = tmp_path / "big"
    path.write_bytes(os.urandom(20 * s3.MIB + 1))
    digest = sha256_of(path)
    bucket.upload(path, f"t/{name}/a", digest)
    assert bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b")
    copied = bucket.head(f"t/{name}/b")
    assert copied is not None
    assert (copied.size, copied.sha256) == (20 * s3.MIB + 1, digest)
    assert bucket.sha256(f"t/{name}/b") == digest
    assert not bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b")
    unfinished = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=f"t/{name}/")
    assert not unfinished.get("Uploads")


def test_copying_what_is_not_there(bucket: Bucket, name: str) -> None:
    with pytest.raises(StepError, match="vanished before it could be copied"):
        bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b")


def test_folders_and_keys_beyond_one_page(bucket: Bucket, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PAGE_KEYS", 3)
    for number in range(8):
        bucket.write_if_absent(f"t/{name}/{number}/x", b"")
    assert sorted(bucket.folders(f"t/{name}/")) == list("01234567")
    assert bucket.delete_below(f"t/{name}/") == 8
    assert list(bucket.keys(f"t/{name}/")) == []


@pytest.mark.parametrize("prefix", ["", "/", "models"])
def test_only_a_folder_can_be_deleted(bucket: Bucket, prefix: str) -> None:
    with pytest.raises(ValueError, match="refusing to delete"):
        bucket.delete_below(prefix)


@pytest.mark.parametrize(
    ("environment", "name", "message"),
    [
        ({}, "no-such-bucket", "there is no such bucket"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, None, "the credentials are wrong or lack the right"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, None, "the credentials are wrong or lack the right"),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, None, "the server does not answer"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    name: str | None,
    message: str,
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(StepError, match=message) as caught:
        s3.connect(name or servers.bucket)
    assert "\n" not in str(caught.value)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(caught.value).replace("wrong or", "")


@pytest.mark.parametrize("name", ["", "Upper", "a", "under_score", "s3://bucket", "x" * 64])
def test_names_that_are_no_bucket(name: str) -> None:
    with pytest.raises(UsageError, match="is no bucket's name"):
        s3.connect(name)


def test_an_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "127.0.0.1:9000")
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL_S3"):
        s3.connect("my-triton-models")
