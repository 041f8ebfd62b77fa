"""Where checkpoints lie: the same for a folder and for real S3, also when a write is killed or fails."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from argosy.components.training.checkpoints.checkpoints import FolderStore, Store, open_store
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Servers
from tests.faults.proxy import Fault, FaultProxy
from tests.forking import processes
from tests.kills import KILLS, moments

NUMBERS = itertools.count(1)
MIB = 1 << 20


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> str:
    """A place of the test's own."""
    return str(tmp_path) if request.param == "folder" else f"s3://{servers.bucket}/store-{next(NUMBERS)}/"


def test_names_come_and_go(place: str) -> None:
    store = open_store(place, "owner")
    assert store.names() == []
    assert store.read("a") is None
    store.write("b", BytesIO(b"two"))
    store.write("a", BytesIO(b"one"))
    store.write("b", BytesIO(b"three"))
    assert store.names() == ["a", "b"]
    assert (store.read("a"), store.read("b")) == (b"one", b"three")
    store.delete("a")
    store.delete("a")
    assert open_store(place, "owner").names() == ["b"]
    assert open_store(place, "own").names() == []
    assert str(store) == f"{place.rstrip('/')}/owner"


@pytest.mark.parametrize("place", ["gs://bucket/x", "http://host/x"])
def test_a_place_of_another_kind_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match=f"checkpoint '{place}' is neither an s3:// prefix nor a folder"):
        open_store(place, "owner")


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/owner cannot be made \(Not a directory\)"):
        open_store(str(tmp_path / "file"), "owner")


def test_a_bucket_that_does_not_exist_is_told_before_training(servers: Servers) -> None:
    with pytest.raises(StepError, match=r"'no-such-bucket' at .*there is no such bucket"):
        open_store("s3://no-such-bucket/x", "owner")


def test_the_remains_of_a_killed_write_are_swept_and_never_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / ".partial-xyz").write_bytes(b"half")
    assert store.names() == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """A file may have but 100 kB, as on a disk that is full."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path, small_files: None) -> None:
    store = FolderStore(tmp_path)
    store.write("a", BytesIO(b"before"))
    with pytest.raises(StepError, match=r"folder .* cannot be written: File too large$"):
        store.write("a", BytesIO(bytes(200_000)))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert store.read("a") == b"before"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, servers: Servers) -> Iterator[FaultProxy]:
    """A way to S3 that can break; this process takes it."""
    between = FaultProxy(os.environ["AWS_ENDPOINT_URL_S3"])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", between.url)
    yield between
    between.close()


def test_s3_that_breaks_is_one_line_and_leaves_what_was_there(servers: Servers, proxy: FaultProxy) -> None:
    store = open_store(f"s3://{servers.bucket}/store-{next(NUMBERS)}", "owner")
    store.write("a", BytesIO(b"before"))
    with proxy.fault(Fault(reset_after=MIB)), pytest.raises(StepError, match=r"could not write .*owner/a: "):
        store.write("a", BytesIO(bytes(4 * MIB)))
    assert store.read("a") == b"before"


def _write_for_ever(place: str) -> None:
    """Replace one name again and again by 8 MiB of one letter."""
    store = open_store(place, "owner")
    for letter in itertools.cycle(b"abcdefgh"):
        store.write("name", BytesIO(bytes([letter]) * (8 * MIB)))


def test_a_write_that_is_killed_leaves_all_of_the_old_or_all_of_the_new(place: str) -> None:
    store: Store = open_store(place, "owner")
    store.write("name", BytesIO(b"-" * (8 * MIB)))
    chances = moments(place.partition(":")[0])
    for _ in range(KILLS):
        process = processes.Process(target=_write_for_ever, args=(place,))
        process.start()
        time.sleep(0.3 + chances.uniform(0, 0.5))
        process.kill()
        process.join()
        data = store.read("name")
        assert data is not None
        assert (len(data), len(set(data))) == (8 * MIB, 1)
        assert store.names() == ["name"]
