"""Downloads that meet trouble, on a real server behind a proxy that makes it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.components.shared.files import fingerprint, sha256_of
from argosy.components.shared.s3 import Bucket, connect
from argosy.components.training.data.download import (
    MARKER,
    Damaged,
    Listing,
    RemoteFile,
    download,
    list_objects,
)
from argosy.errors import StepError
from tests.components.training.conftest import Servers
from tests.faults.proxy import Fault, FaultProxy

SIZE = 300_000


@pytest.fixture
def bucket(servers: Servers) -> Bucket:
    """The stack's bucket."""
    return connect(servers.bucket)


@pytest.fixture
def proxy(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """In front of S3; clients that connect from here on go through it."""
    proxy = FaultProxy(os.environ["AWS_ENDPOINT_URL_S3"])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    yield proxy
    proxy.close()


def _fill(bucket: Bucket, prefix: str, count: int) -> Listing:
    for number in range(count):
        key = f"{prefix}/train/a/{number:03}.png"
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=bytes([number]) * SIZE)
    return list_objects(bucket, f"{prefix}/")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_answer_that_breaks_off_is_asked_for_again(
    bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    listing = _fill(bucket, "breaks-off", 6)
    shaky = connect(bucket.name)
    with proxy.fault(Fault(cut_answer_after=SIZE // 2, times=3)):
        download(shaky, listing, tmp_path, threads=2, trusted=False)
        assert proxy.met == 3
    assert [(tmp_path / f"train/a/{n:03}.png").read_bytes() for n in range(6)] == [
        bytes([n]) * SIZE for n in range(6)
    ]
    assert len(_names(tmp_path)) == 6


def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    listing = _fill(bucket, "busy", 2)
    shaky = connect(bucket.name)
    with proxy.fault(Fault(status=503, times=2)):
        download(shaky, listing, tmp_path, threads=2, trusted=False)
    assert _names(tmp_path) == ["000.png", "001.png"]


def test_a_server_that_is_gone_ends_it_in_one_line(bucket: Bucket, proxy: FaultProxy, tmp_path: Path) -> None:
    listing = _fill(bucket, "gone", 3)
    gone = connect(bucket.name)
    with proxy.fault(Fault(refuse=True)), pytest.raises(StepError) as caught:
        download(gone, listing, tmp_path, threads=2, trusted=False)
    assert "could not download the data set: the server does not answer" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == []


def test_a_killed_download_leaves_whole_files_and_goes_on(
    bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    _fill(bucket, "killed", 12)
    uri = f"s3://{bucket.name}/killed"
    code = (
        "import sys; from pathlib import Path;"
        "from argosy.components.training.data.download import local_folder;"
        "print(local_folder(sys.argv[1], workers=1, cache=Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, uri, str(tmp_path)]
    with proxy.fault(Fault(bytes_per_second=2 * SIZE)):  # for each connection
        child = subprocess.Popen(command)
        try:
            _wait_for_a_whole_file(tmp_path, child)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
    (folder,) = tmp_path.iterdir()
    whole = {path: path.stat().st_ino for path in folder.rglob("0*.png")}
    assert 0 < len(whole) < 12
    assert all(path.stat().st_size == SIZE for path in whole)
    assert not (folder / MARKER).exists()

    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(folder)
    assert {path: path.stat().st_ino for path in whole} == whole  # not brought again
    for number in range(12):
        assert (folder / f"train/a/{number:03}.png").read_bytes() == bytes([number]) * SIZE


def _wait_for_a_whole_file(root: Path, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not list(root.rglob("0*.png")):
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_file_that_changed_since_the_listing_is_named(bucket: Bucket, tmp_path: Path) -> None:
    listing = _fill(bucket, "changed", 2)
    bucket.client.put_object(Bucket=bucket.name, Key="changed/train/a/001.png", Body=b"new")
    with pytest.raises(StepError, match=r"changed/train/a/001\.png changed since it was listed; start again"):
        download(bucket, listing, tmp_path, threads=1, trusted=False)
    assert _names(tmp_path) == ["000.png"]


def test_a_file_that_vanished_since_the_listing_is_named(bucket: Bucket, tmp_path: Path) -> None:
    listing = _fill(bucket, "vanished", 1)
    bucket.client.delete_object(Bucket=bucket.name, Key="vanished/train/a/000.png")
    with pytest.raises(StepError, match="changed since it was listed"):
        download(bucket, listing, tmp_path, threads=1, trusted=False)


@pytest.mark.parametrize("metadata", [{"sha256": "0" * 64}, {}])
def test_damage_is_found_and_leaves_nothing(
    bucket: Bucket, tmp_path: Path, metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noted checksum, or the listed size, is another than that of what arrives."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    prefix = f"damage-{len(metadata)}"
    bucket.client.put_object(Bucket=bucket.name, Key=f"{prefix}/train/a/x.png", Body=b"x", Metadata=metadata)
    (file,) = list_objects(bucket, f"{prefix}/")
    wrong = RemoteFile(file.path, 1 if metadata else 2, file.etag)
    with pytest.raises(Damaged, match=r"arrived damaged: its sha256|arrived with 1 of 2 bytes"):
        download(bucket, Listing(f"{prefix}/", [wrong]), tmp_path, threads=1, trusted=False)
    assert _names(tmp_path) == []


def test_an_upload_in_parts_is_checked_by_its_noted_checksum(bucket: Bucket, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(17 << 20))
    with bucket.stage(big, "parts/train/a/big.png", fingerprint(big)) as staged:
        assert staged.appear()
    listing = list_objects(bucket, "parts/")
    assert [file.etag.count("-") for file in listing] == [1]
    target = tmp_path / "target"
    download(bucket, listing, target, threads=1, trusted=False)
    arrived = target / "train/a/big.png"
    assert sha256_of(arrived) == sha256_of(big)
    inode = arrived.stat().st_ino
    download(bucket, listing, target, threads=1, trusted=False)
    assert arrived.stat().st_ino == inode
    arrived.write_bytes(bytes(17 << 20))
    download(bucket, listing, target, threads=1, trusted=False)
    assert sha256_of(arrived) == sha256_of(big)


def test_a_place_that_cannot_be_written_is_named(bucket: Bucket, tmp_path: Path) -> None:
    listing = _fill(bucket, "unwritable", 1)
    (tmp_path / "train").write_text("a file in the way")
    with pytest.raises(StepError, match="could not be written to"):
        download(bucket, listing, tmp_path, threads=1, trusted=False)


def test_wrong_keys_are_one_clear_line(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StepError, match="credentials are wrong or lack the right") as caught:
        connect(bucket.name)
    assert "\n" not in str(caught.value)
