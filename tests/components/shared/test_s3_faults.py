"""S3 that breaks: what is tried again, what is not, and for how long.  A real server behind a proxy."""

import itertools
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import botocore.auth
import pytest
from botocore.config import Config

from argosy.components.shared import s3, s3_client
from argosy.components.shared.files import MIB, fingerprint
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError
from tests.faults.proxy import Fault, FaultProxy


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    between = FaultProxy(os.environ["AWS_ENDPOINT_URL_S3"])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", between.url)
    yield between
    between.close()


@pytest.fixture
def far(proxy: FaultProxy, s3_server: str) -> Bucket:
    """The bucket as it is seen through the proxy."""
    return s3.connect(s3_server)


@pytest.fixture
def large(bucket: Bucket, name: str, tmp_path: Path) -> tuple[Path, str]:
    """A file of some MB, and its key in the bucket."""
    path, key = tmp_path / "large", f"t/{name}/large"
    path.write_bytes(os.urandom(5 * MIB))
    bucket.client.upload_file(str(path), bucket.name, key)
    return path, key


@pytest.mark.parametrize("cut", [1, MIB, 3 * MIB])
def test_reading_goes_on_where_the_connection_broke(
    far: Bucket, proxy: FaultProxy, large: tuple[Path, str], cut: int
) -> None:
    path, key = large
    with proxy.fault(Fault(cut_answer_after=cut, times=3)):
        assert far.sha256(key) == fingerprint(path).sha256
        assert proxy.met == 3


def test_a_connection_that_breaks_for_ever_is_an_error(
    far: Bucket, proxy: FaultProxy, large: tuple[Path, str]
) -> None:
    with (
        proxy.fault(Fault(cut_answer_after=20_000)),
        pytest.raises(StepError, match="the connection broke again and again while the answer was read"),
    ):
        far.sha256(large[1])


def test_an_object_that_changes_between_two_halves_is_not_mixed(
    far: Bucket, bucket: Bucket, proxy: FaultProxy, large: tuple[Path, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(os.urandom(5 * MIB))
    calls = itertools.count()

    def change(**_: object) -> None:
        if next(calls) == 1:
            bucket.client.upload_file(str(other), bucket.name, large[1])

    far.client.meta.events.register("before-call.s3.GetObject", change)
    with proxy.fault(Fault(cut_answer_after=4 * MIB, times=1)):
        try:
            # A reset may take everything with it that was not read yet; then all is read anew.
            assert far.sha256(large[1]) == fingerprint(other).sha256
        except StepError as error:
            assert "it changed meanwhile" in str(error)
    assert next(calls) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, times=2),
        Fault(status=500, times=3),
        Fault(refuse=True, times=3),
        Fault(cut_answer_after=1, times=2),
    ],
    ids=["503", "500", "refused", "cut"],
)
def test_a_passing_fault_is_not_noticed(far: Bucket, proxy: FaultProxy, name: str, fault: Fault) -> None:
    with proxy.fault(fault):
        assert far.write_if_absent(f"t/{name}/a", b"one")
        assert (far.read(f"t/{name}/a") or (b"",))[0] == b"one"
        assert proxy.met == fault.times


@pytest.mark.parametrize("after", [100_000, 3 * MIB])
def test_an_upload_that_is_reset_arrives_whole(
    far: Bucket, bucket: Bucket, proxy: FaultProxy, name: str, tmp_path: Path, after: int
) -> None:
    path, key = tmp_path / "file", f"t/{name}/a"
    path.write_bytes(os.urandom(5 * MIB))
    printed = fingerprint(path)
    with proxy.fault(Fault(reset_after=after, times=2)), far.stage(path, key, printed) as staged:
        assert proxy.met == 2
        assert staged.appear()
    assert bucket.sha256(key) == printed.sha256


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=503), "the server failed on every try .HTTP 503"),
        (Fault(refuse=True), "the server does not answer"),
        (Fault(hang=True), "the server does not answer .ReadTimeoutError"),
    ],
    ids=["503", "refused", "hung"],
)
def test_a_lasting_fault_is_told_in_bounded_time(
    s3_server: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, fault: Fault, message: str
) -> None:
    # The same settings but for the longest of all waits, which would make this test take 87 s.
    quick = s3_client._SETTINGS.merge(Config(read_timeout=1))
    monkeypatch.setattr(s3_client, "_SETTINGS", quick)
    bucket = s3.connect(s3_server)
    with proxy.fault(fault), pytest.raises(StepError, match=message) as caught:
        bucket.read("t/a")
    assert proxy.met == 4
    assert "\n" not in str(caught.value)


def test_the_bound_that_is_written_down() -> None:
    settings = s3_client._SETTINGS
    tries = settings.retries["total_max_attempts"]
    pauses = sum(min(2**n, 20) for n in range(tries - 1))
    assert tries * settings.read_timeout + pauses == 87
    assert "87" in (s3_client.__doc__ or "")


@pytest.mark.parametrize(
    ("variable", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "wrong")]
)
def test_wrong_credentials_are_tried_once(
    s3_server: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    calls: list[object] = []
    client = s3_client.make_client()
    client.meta.events.register("before-send.s3", lambda **sent: calls.append(sent))
    bucket = Bucket(s3_server, client)
    with pytest.raises(StepError, match="the credentials are wrong or lack the right"):
        bucket.write_if_absent("t/a", b"")
    assert len(calls) == 1


def test_a_clock_that_is_far_off_is_told(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now() - timedelta(hours=1))
    with pytest.raises(StepError, match=r"this machine's clock is wrong by more than 15 minutes") as caught:
        Bucket(s3_server, s3_client.make_client()).read("t/a")
    assert "\n" not in str(caught.value)


def test_a_completion_whose_answer_was_lost_is_no_failure(
    far: Bucket, bucket: Bucket, proxy: FaultProxy, large: tuple[Path, str]
) -> None:
    """The client's second try finds the object there: it says no, and the bytes are the right ones."""
    path, key = large
    printed = fingerprint(path)

    def cut(**_: object) -> None:
        proxy._set(Fault(cut_answer_after=1, times=1))

    far.client.meta.events.register("before-call.s3.CompleteMultipartUpload", cut)
    with far.stage(path, key + "-again", printed) as staged:
        staged.appear()
    assert proxy.met == 1
    found = bucket.head(key + "-again")
    assert found is not None
    assert found.sha256 == printed.sha256
