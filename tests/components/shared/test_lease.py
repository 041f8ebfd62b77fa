"""Only one at a time, on the real S3 server."""

import json
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import botocore.auth
import pytest

from argosy.components.shared import lease
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError


@pytest.fixture
def key(name: str) -> str:
    return f"locks/{name}/serving.json"


def _written(bucket: Bucket, key: str) -> dict[str, object]:
    found = bucket.fetch(key)
    assert found is not None
    written: dict[str, object] = json.loads(found.body)
    return written


def test_it_is_written_while_held_and_free_afterwards(bucket: Bucket, key: str) -> None:
    for owner in ("one", "two", "two"):
        with lease.held(bucket, key, owner, seconds=60, patience=0):
            held = _written(bucket, key)
            assert (held["owner"], held["seconds"]) == (owner, 60)
        assert _written(bucket, key)["seconds"] == 0


def test_the_second_is_told_who_has_it(bucket: Bucket, key: str) -> None:
    with (
        lease.held(bucket, key, "workflow-1", seconds=60, patience=0),
        pytest.raises(StepError) as caught,
        lease.held(bucket, key, "workflow-1", seconds=60, patience=0.5),
    ):
        pytest.fail("the same owner is let in twice: two steps of a workflow must exclude each other too")
    assert "not free after 0 s: workflow-1 took it" in str(caught.value)
    assert "may hold it for 60 s" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_released_when_the_block_fails(bucket: Bucket, key: str) -> None:
    with pytest.raises(ZeroDivisionError), lease.held(bucket, key, "one", seconds=60, patience=0):
        _ = 1 / 0
    with lease.held(bucket, key, "two", seconds=60, patience=0):
        pass


def test_eight_threads_never_hold_it_together(bucket: Bucket, key: str) -> None:
    inside, most, order = [0], [0], []

    def work(number: int) -> None:
        with lease.held(bucket, key, f"workflow-{number}", seconds=60, patience=60):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1
            order.append(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, list(range(8)) * 2))
    assert most == [1]
    assert sorted(order) == sorted(list(range(8)) * 2)


CHILD = """
import pathlib, sys, time
from argosy.components.shared import lease, s3
bucket, key, seconds = s3.connect(sys.argv[1]), sys.argv[2], float(sys.argv[3])
inside = pathlib.Path(sys.argv[4])
print("ready", flush=True)
for _ in range(int(sys.argv[5])):
    with lease.held(bucket, key, "child", seconds=seconds, patience=60):
        inside.touch(exist_ok=False)
        print("held", flush=True)
        time.sleep(float(sys.argv[6]))
        inside.unlink()
"""


def _child(bucket: Bucket, *arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CHILD, bucket.name, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_never_hold_it_together(bucket: Bucket, key: str, tmp_path: Path) -> None:
    children = [_child(bucket, key, 60, tmp_path / "inside", 5, 0.01) for _ in range(3)]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors


def test_a_killed_holder_delays_the_others_by_its_seconds(
    bucket: Bucket, key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    child = _child(bucket, key, 2, tmp_path / "inside", 1, 60)
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(2)] == ["ready\n", "held\n"]
    child.kill()
    child.communicate()
    with pytest.raises(StepError, match="child took it"), lease.held(bucket, key, "n", seconds=9, patience=0):
        pass
    with lease.held(bucket, key, "next", seconds=60, patience=30):
        found = bucket.fetch(key)
        assert found is not None
        assert _written(bucket, key)["owner"] == "next"
    assert "taken over from child" in caplog.text


def test_of_many_who_find_it_old_one_takes_it_over(bucket: Bucket, key: str) -> None:
    bucket.write_if_absent(key, lease.Holder("dead", "x", 0.1).encode())
    time.sleep(2.2)
    start, got = threading.Barrier(8), []

    def work(number: int) -> None:
        start.wait()
        try:
            with lease.held(bucket, key, str(number), seconds=60, patience=0):
                got.append(number)
                time.sleep(1)
        except StepError:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(got) == 1


@pytest.mark.parametrize("minutes", [-10, 10])  # further off than 15, and S3 refuses the signature
def test_a_clock_that_is_wrong_here_changes_nothing(
    bucket: Bucket, key: str, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    now = botocore.auth.get_current_datetime
    with lease.held(bucket, key, "one", seconds=60, patience=0):
        skewed = timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now() + skewed)
        monkeypatch.setattr(time, "time", lambda real=time.time: real() + skewed.total_seconds())
        with pytest.raises(StepError, match=r"one took it [0-5] s ago"):
            lease.held(bucket, key, "two", seconds=60, patience=0).__enter__()


def test_renewing_and_losing(bucket: Bucket, key: str, caplog: pytest.LogCaptureFixture) -> None:
    with lease.held(bucket, key, "slow", seconds=0.5, patience=0) as mine:
        mine.renew()
        time.sleep(2.6)
        with lease.held(bucket, key, "next", seconds=60, patience=0):
            with pytest.raises(StepError, match="taken over by another"):
                mine.renew()
            mine.release()
            assert _written(bucket, key)["owner"] == "next"
            assert "taken over before slow released it" in caplog.text


def test_a_release_that_fails_is_only_logged(
    bucket: Bucket, key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with lease.held(bucket, key, "one", seconds=60, patience=0) as mine:
        # From here on this process signs with a key that the server does not know.
        mine.bucket.client._request_signer._credentials.secret_key = "wrong"
    assert "is not released, and free in 60 s" in caplog.text


@pytest.mark.parametrize("body", [b"", b"[]", b'{"owner": "x"}', b"\xff"])
def test_an_object_that_is_no_lease(bucket: Bucket, key: str, body: bytes) -> None:
    bucket.write_if_absent(key, body)
    with pytest.raises(StepError, match="is not a lease"):
        lease.held(bucket, key, "one", seconds=1, patience=0).__enter__()


def test_a_first_answer_that_was_lost_is_no_lost_race(bucket: Bucket, key: str) -> None:
    """The client's second try of a writing that arrived is refused, and the lease is ours all the same."""
    holder = lease.Holder("one", "token", 60)
    assert bucket.write_if_absent(key, holder.encode())
    assert lease._put(bucket, key, holder, None) == (bucket.fetch(key) or pytest.fail("gone")).etag
