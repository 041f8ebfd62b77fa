"""The bucket, on the real server."""

import logging
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from argosy.components.shared import s3
from argosy.components.shared.fingerprint import MIB, fingerprint
from argosy.components.shared.s3 import Bucket, sha256_of
from argosy.errors import StepError, UsageError


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


def test_a_large_file_goes_up_and_is_copied_in_parts(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, source, target = tmp_path / "big", f"t/{name}/a", f"t/{name}/b"
    path.write_bytes(os.urandom(20 * MIB + 1))
    printed = fingerprint(path, 8 * MIB)
    assert len(printed.parts) == 3
    bucket.upload(path, source, printed.sha256)
    assert bucket.copy_if_absent(source, target, printed)
    copied = bucket.head(target)
    assert copied is not None
    assert (copied.size, copied.sha256) == (20 * MIB + 1, printed.sha256)
    assert bucket.sha256(target) == printed.sha256 == sha256_of(path)
    assert not bucket.copy_if_absent(source, target, printed)
    assert not bucket.copy_over(source, target, printed, '"0"')
    assert bucket.copy_over(source, target, printed, copied.etag)
    assert _unfinished(bucket, name) == []


def test_damaged_bytes_never_appear(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, source, target = tmp_path / "big", f"t/{name}/a", f"t/{name}/b"
    path.write_bytes(os.urandom(12 * MIB))
    printed = fingerprint(path, 8 * MIB)
    with path.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"x")
    bucket.upload(path, source, printed.sha256)
    with pytest.raises(StepError, match="bytes 8388608 to 12582911 are not those that were uploaded"):
        bucket.copy_if_absent(source, target, printed)
    assert bucket.head(target) is None
    assert _unfinished(bucket, name) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_a_server_without_checksums_has_the_source_read_back(
    bucket: Bucket, name: str, tmp_path: Path, damaged: bool
) -> None:
    def strip(parsed: dict[str, Any], **_: object) -> None:
        parsed.get("CopyPartResult", {}).pop("ChecksumSHA256", None)

    def plain(params: dict[str, Any], **_: object) -> None:
        params.pop("ChecksumAlgorithm", None)

    bucket.client.meta.events.register("after-call.s3.UploadPartCopy", strip)
    bucket.client.meta.events.register("before-parameter-build.s3.CreateMultipartUpload", plain)
    path, source, target = tmp_path / "file", f"t/{name}/a", f"t/{name}/b"
    path.write_bytes(b"one")
    printed = fingerprint(path)
    path.write_bytes(b"two" if damaged else b"one")
    bucket.upload(path, source, printed.sha256)
    if damaged:
        with pytest.raises(StepError, match="has sha256"):
            bucket.copy_if_absent(source, target, printed)
    else:
        assert bucket.copy_if_absent(source, target, printed)
    assert (bucket.head(target) is None) == damaged


def test_copying_what_is_not_there_or_has_another_size(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    printed = fingerprint(path)
    with pytest.raises(StepError, match="vanished before it could be copied"):
        bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b", printed)
    bucket.write_if_absent(f"t/{name}/a", b"longer")
    with pytest.raises(StepError, match="has 6 bytes, not 3"):
        bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b", printed)


@pytest.mark.skipif(not os.environ.get("ARGOSY_TEST_LARGE"), reason="13 GB of disk: set ARGOSY_TEST_LARGE=1")
def test_more_than_one_copy_call_can_take(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, source, target = tmp_path / "huge", f"t/{name}/a", f"t/{name}/b"
    with path.open("wb") as file:
        file.seek(5 * 1024 * MIB + 12345)
        file.write(b"the end")
    printed = fingerprint(path)
    bucket.upload(path, source, printed.sha256)
    assert bucket.copy_if_absent(source, target, printed)
    copied = bucket.head(target)
    assert copied is not None
    assert (copied.size, copied.sha256) == (path.stat().st_size, printed.sha256)
    bucket.delete_below(f"t/{name}/")


def test_progress_of_a_large_transfer_is_logged(
    bucket: Bucket, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "argosy")
    path = tmp_path / "big"
    path.write_bytes(os.urandom(64 * MIB))
    printed = fingerprint(path, 16 * MIB)
    bucket.upload(path, f"t/{name}/a", printed.sha256)
    bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b", printed)
    for what in ("uploading", "copying"):
        lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith(what)]
        assert 4 <= len(lines) <= 11
        assert re.fullmatch(rf"{what} t/{name}/.: 100 %, 67 of 67 MB, [0-9.]+ MB/s", lines[-1])


def _unfinished(bucket: Bucket, name: str) -> list[str]:
    answer = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=f"t/{name}/")
    return [upload["Key"] for upload in answer.get("Uploads", ())]


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
    s3_server: str,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    name: str | None,
    message: str,
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(StepError, match=message) as caught:
        s3.connect(name or s3_server)
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
