"""Data sets from S3, on a real server."""

from pathlib import Path

import pytest

from argosy.components.shared.s3 import Bucket, connect
from argosy.components.training.data.download import MARKER, local_folder
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Servers

FILES = {
    "train/a/1.png": b"one",
    "train/b/2.png": b"twotwo",
    "val/a/3.png": b"3" * 3_000_000,
    "val/b/4.png": b"",
}


@pytest.fixture
def bucket(servers: Servers) -> Bucket:
    """The stack's bucket."""
    return connect(servers.bucket)


@pytest.fixture
def uri(bucket: Bucket, request: pytest.FixtureRequest) -> str:
    """A small data set under a prefix of the test's own, with things that do not belong to it."""
    prefix = f"sources/{request.function.__name__}"
    for path, body in {**FILES, "README.md": b"text", "training/x.png": b"x", "train/": b""}.items():
        _put(bucket, f"{prefix}/{path}", body)
    return f"s3://{bucket.name}/{prefix}"


def _put(bucket: Bucket, key: str, body: bytes) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_both_splits_arrive_and_nothing_else(uri: str, tmp_path: Path, end: str) -> None:
    folder = local_folder(uri + end, workers=3, cache=tmp_path)
    assert _contents(folder) == FILES
    assert (folder / MARKER).exists()


def _written(folder: Path) -> dict[str, int]:
    """Inode of each file: another one means that it was brought again."""
    return {path: (folder / path).stat().st_ino for path in FILES}


def test_a_complete_copy_is_used_again(uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, workers=2, cache=tmp_path)
    before = _written(folder)
    assert local_folder(uri, workers=2, cache=tmp_path) == folder
    assert _written(folder) == before


def test_changed_data_get_a_folder_of_their_own(uri: str, bucket: Bucket, tmp_path: Path) -> None:
    old = local_folder(uri, workers=2, cache=tmp_path)
    prefix = uri.partition(f"{bucket.name}/")[2]
    _put(bucket, f"{prefix}/train/a/1.png", b"ONE")  # of the same size
    bucket.client.delete_object(Bucket=bucket.name, Key=f"{prefix}/val/b/4.png")
    new = local_folder(uri, workers=2, cache=tmp_path)
    assert new != old
    assert _contents(new) == {
        k: v for k, v in {**FILES, "train/a/1.png": b"ONE"}.items() if k != "val/b/4.png"
    }
    assert _contents(old) == FILES


def test_a_download_that_was_cut_off_goes_on(uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, workers=2, cache=tmp_path)
    before = _written(folder)
    (folder / MARKER).unlink()
    (folder / "train/b/2.png").unlink()
    (folder / "val/a/3.png").write_bytes(b"half")
    assert local_folder(uri, workers=2, cache=tmp_path) == folder
    assert _contents(folder) == FILES
    assert _written(folder)["train/a/1.png"] == before["train/a/1.png"]


def test_only_what_has_another_checksum_is_brought_again(uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, workers=2, cache=tmp_path)
    (folder / MARKER).unlink()
    swapped = folder / "swapped"
    swapped.write_bytes(b"ONE")  # as long as the real one
    swapped.replace(folder / "train/a/1.png")
    before = _written(folder)
    local_folder(uri, workers=2, cache=tmp_path)
    after = _written(folder)
    assert _contents(folder) == FILES
    assert [path for path in FILES if after[path] != before[path]] == ["train/a/1.png"]


def test_a_complete_copy_that_lost_a_file_gets_it_back(uri: str, tmp_path: Path) -> None:
    folder = local_folder(uri, workers=2, cache=tmp_path)
    (folder / "train/b/2.png").unlink()
    (folder / "val/a/3.png").write_bytes(b"half")
    assert _contents(local_folder(uri, workers=2, cache=tmp_path)) == FILES


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        ("s3://BUCKET/no/such/prefix", UsageError, "nothing lies under its train/ or val/"),
        ("s3://no-such-bucket-here/x", StepError, "no such bucket"),
        ("s3:///x", UsageError, "bucket"),
        ("s3://", UsageError, "bucket"),
        ("gs://bucket/x", UsageError, "neither an s3:// prefix nor a folder"),
        ("https://host/data", UsageError, "neither an s3:// prefix nor a folder"),
        ("/no/such/folder", UsageError, "is not a folder on this machine"),
        ("", UsageError, "is empty"),
    ],
)
def test_invalid(
    servers: Servers, tmp_path: Path, dataset: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        local_folder(dataset.replace("BUCKET", servers.bucket), workers=1, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_stays_where_it_is(tmp_path: Path) -> None:
    assert local_folder(str(tmp_path), workers=1) == tmp_path
