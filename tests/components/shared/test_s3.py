"""The bucket, on the real server."""

import logging
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from argosy.components.shared import s3
from argosy.components.shared.files import MIB, Fingerprint, fingerprint, sha256_of
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError, UsageError


def test_a_client_is_made_from_what_its_import_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a step which stands by has nothing left to read when its turn comes."""

    def refuse(loader: JSONFileLoader, path: str) -> None:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(JSONFileLoader, "load_file", refuse)
    s3.make_client()


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


def _put(bucket: Bucket, path: Path, key: str) -> None:
    """Store a file as any other client does."""
    bucket.client.upload_file(str(path), bucket.name, key)


def _stage(bucket: Bucket, path: Path, key: str, printed: Fingerprint) -> bool:
    with bucket.stage(path, key, printed) as staged:
        return staged.appear()


def test_what_is_staged_appears_with_one_call(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, key = tmp_path / "big", f"t/{name}/a"
    path.write_bytes(os.urandom(20 * MIB + 1))
    printed = fingerprint(path, 8 * MIB)
    assert len(printed.parts) == 3
    with bucket.stage(path, key, printed) as staged:
        assert bucket.head(key) is None
        assert list(bucket.keys(f"t/{name}/")) == []
        assert len(_unfinished(bucket, name)) == 1
        assert staged.appear()
    found = bucket.head(key)
    assert found is not None
    assert (found.size, found.sha256) == (20 * MIB + 1, printed.sha256)
    assert bucket.sha256(key) == printed.sha256 == sha256_of(path)
    assert not _stage(bucket, path, key, printed)
    assert bucket.head(key) == found
    assert _unfinished(bucket, name) == []


def test_what_is_staged_takes_the_place_of_what_it_was_meant_for(
    bucket: Bucket, name: str, tmp_path: Path
) -> None:
    path, key = tmp_path / "file", f"t/{name}/a"
    bucket.write_if_absent(key, b"one")
    path.write_bytes(b"two")
    old = bucket.head(key)
    assert old is not None
    with bucket.stage(path, key, fingerprint(path)) as staged:
        assert not staged.take_the_place_of('"0"')
    with bucket.stage(path, key, fingerprint(path)) as staged:
        assert staged.take_the_place_of(old.etag)
    assert (bucket.read(key) or (b"",))[0] == b"two"
    assert _unfinished(bucket, name) == []


@pytest.mark.parametrize("content", [b"two", b"longer", b""])
def test_a_file_that_changed_since_it_was_read_never_appears(
    bucket: Bucket, name: str, tmp_path: Path, content: bytes
) -> None:
    path, key = tmp_path / "file", f"t/{name}/a"
    path.write_bytes(b"one")
    printed = fingerprint(path)
    path.write_bytes(content)
    with pytest.raises(StepError, match=r"changed since they were read|has \d bytes, not 3"):
        _stage(bucket, path, key, printed)
    assert bucket.head(key) is None
    assert _unfinished(bucket, name) == []


@pytest.mark.parametrize("server", ["with checksums", "without"])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_part_that_does_not_arrive_as_it_was_sent(
    bucket: Bucket, name: str, tmp_path: Path, server: str, damaged: bool
) -> None:
    def answer(parsed: dict[str, Any], **_: object) -> None:
        if server == "without":
            parsed.pop("ChecksumSHA256", None)
            parsed["ETag"] = '"0"' if damaged else parsed["ETag"]
        elif damaged:
            parsed["ChecksumSHA256"] = "0"

    def plain(params: dict[str, Any], **_: object) -> None:
        if server == "without":
            params.pop("ChecksumAlgorithm", None)

    bucket.client.meta.events.register("after-call.s3.UploadPart", answer)
    bucket.client.meta.events.register("before-parameter-build.s3.CreateMultipartUpload", plain)
    path, key = tmp_path / "file", f"t/{name}/a"
    path.write_bytes(b"one")
    if damaged:
        with pytest.raises(StepError, match="bytes 0 to 2 did not arrive as they were sent"):
            _stage(bucket, path, key, fingerprint(path))
    else:
        assert _stage(bucket, path, key, fingerprint(path))
    assert (bucket.head(key) is None) == damaged
    assert _unfinished(bucket, name) == []


def test_a_large_file_is_copied_in_parts(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, source, target = tmp_path / "big", f"t/{name}/a", f"t/{name}/b"
    path.write_bytes(os.urandom(20 * MIB + 1))
    printed = fingerprint(path, 8 * MIB)
    assert len(printed.parts) == 3
    _put(bucket, path, source)
    assert bucket.copy_if_absent(source, target, printed)
    copied = bucket.head(target)
    assert copied is not None
    assert (copied.size, copied.sha256) == (20 * MIB + 1, printed.sha256)
    assert bucket.sha256(target) == printed.sha256 == sha256_of(path)
    assert not bucket.copy_if_absent(source, target, printed)
    assert _unfinished(bucket, name) == []


def test_damaged_bytes_never_appear(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, source, target = tmp_path / "big", f"t/{name}/a", f"t/{name}/b"
    path.write_bytes(os.urandom(12 * MIB))
    printed = fingerprint(path, 8 * MIB)
    with path.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"x")
    _put(bucket, path, source)
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
    _put(bucket, path, source)
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
def test_more_than_one_call_can_take(bucket: Bucket, name: str, tmp_path: Path) -> None:
    path, source, target = tmp_path / "huge", f"t/{name}/a", f"t/{name}/b"
    with path.open("wb") as file:
        file.seek(5 * 1024 * MIB + 12345)
        file.write(b"the end")
    printed = fingerprint(path)
    _put(bucket, path, source)
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
    _stage(bucket, path, f"t/{name}/a", printed)
    bucket.copy_if_absent(f"t/{name}/a", f"t/{name}/b", printed)
    for what in ("uploading", "copying"):
        lines = [r.getMessage() for r in caplog.records if f" of {what} " in r.getMessage()]
        assert 4 <= len(lines) <= 11
        assert re.fullmatch(rf"progress: 100% of {what} t/{name}/., 67 of 67 MB, [0-9.]+ MB/s", lines[-1])


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
