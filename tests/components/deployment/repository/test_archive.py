"""The archive of old versions, on the real S3: what goes, what stays, and what a killed run leaves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from argosy.components.deployment.model.layout import MODEL_FILE, ModelKeys
from argosy.components.deployment.repository.archive import (
    Archiving,
    bring_back,
    copy_aside,
    is_archived,
)
from argosy.components.deployment.repository.pruning import Pruning, clear_leftovers
from argosy.components.deployment.repository.published_model import read_metadata
from argosy.components.deployment.repository.versions import (
    amend_record,
    claim_forced,
    claim_next,
    files_of_versions,
    folder_of,
    mark_archived,
    published_sha256,
    published_versions,
    read_claim,
    read_record,
)
from argosy.components.shared import lease
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError, UsageError
from tests.components.deployment.conftest import claim_for

NOTHING: Mapping[int, str] = {}
FILES = {"model.onnx": b"a model", "weights.bin": b"weights", "sub/more.bin": b"more", "metadata.json": b"{}"}
WRITES = {"PutObject", "DeleteObject", "UploadPartCopy", "CreateMultipartUpload", "CompleteMultipartUpload"}


def publish(
    bucket: Bucket, keys: ModelKeys, *versions: int, over: bool = True, files: Mapping[str, bytes] = FILES
) -> None:
    """Versions, each of a deployment of its own, which is over."""
    for version in versions:
        bucket.write_if_absent(keys.claim(version), claim_for(b"a model", f"workflow-{version}").encode())
        for name in sorted(files, reverse=True):
            bucket.write_if_absent(keys.version(version) + name, files[name])
        if over:
            end = {"workflow": f"workflow-{version}"}
            amend_record(bucket, keys, version, aliases=end, verification=end)


def archive(bucket: Bucket, keys: ModelKeys, keep: int = 1, stands: Mapping[int, str] = NOTHING) -> list[int]:
    return Archiving(bucket, keys, keep, lambda: stands).run("test")


def archived_versions(bucket: Bucket, keys: ModelKeys) -> set[int]:
    return set(files_of_versions(bucket, keys.archive))


def content(bucket: Bucket, folder: str) -> dict[str, bytes]:
    """A folder's files, as they are."""
    return {key.removeprefix(folder): (bucket.read(key) or (b"gone", ""))[0] for key in bucket.keys(folder)}


def whole_somewhere(bucket: Bucket, keys: ModelKeys, version: int) -> bool:
    """Whether a reader finds the version with all of its bytes."""
    folder = folder_of(bucket, keys, version)
    return folder is not None and content(bucket, folder) == FILES


@pytest.mark.parametrize(
    ("versions", "keep", "stands", "gone"),
    [
        ([], 1, {}, []),
        ([1], 1, {}, []),
        ([1, 2, 3], 1, {}, [1, 2]),
        ([1, 2, 3], 3, {}, []),
        ([1, 2, 3], 0, {}, []),
        ([1, 2, 3, 4, 5], 2, {1: "previous"}, [2, 3]),
        ([1, 2, 3, 4, 5], 1, {2: "live", 1: "named in config.pbtxt"}, [3, 4]),
        ([2, 9, 10, 11], 2, {}, [2, 9]),
    ],
)
def test_the_newest_and_those_in_use_stay(
    bucket: Bucket, keys: ModelKeys, versions: list[int], keep: int, stands: dict[int, str], gone: list[int]
) -> None:
    publish(bucket, keys, *versions)
    assert Archiving(bucket, keys, keep, lambda: stands).plan() == gone
    assert published_versions(bucket, keys) == set(versions)
    assert archive(bucket, keys, keep, stands) == gone
    assert published_versions(bucket, keys) == set(versions) - set(gone)
    assert archived_versions(bucket, keys) == set(gone)
    assert all(content(bucket, keys.archived(version)) == FILES for version in gone)
    assert archive(bucket, keys, keep, stands) == []


def test_who_is_asked_nothing_where_nothing_is_old(bucket: Bucket, keys: ModelKeys) -> None:
    def refuse() -> Mapping[int, str]:
        raise AssertionError("MLflow was asked")

    publish(bucket, keys, 1, 2, 3)
    assert Archiving(bucket, keys, 3, refuse).run("test") == []
    assert Archiving(bucket, keys, 0, refuse).run("test") == []


def test_a_deployment_under_way_stays_and_one_that_was_rolled_back_goes(
    bucket: Bucket, keys: ModelKeys
) -> None:
    publish(bucket, keys, 1, 2, 3, over=False)
    bucket.write_if_absent(keys.version(4) + MODEL_FILE, b"by hand, just now")
    publish(bucket, keys, 5)
    amend_record(bucket, keys, 2, aliases={"workflow": "workflow-2"})
    amend_record(bucket, keys, 3, rollback={"workflow": "workflow-3"})
    assert archive(bucket, keys) == [3]
    assert published_versions(bucket, keys) == {1, 2, 4, 5}


def test_everything_finds_an_archived_version(bucket: Bucket, keys: ModelKeys, tmp_path: Path) -> None:
    described = b'{"mlflow": {"model_name": "%s"}}' % keys.model.encode()
    publish(bucket, keys, 1, 2, over=False, files={"model.onnx": b"a model", "metadata.json": described})
    amend_record(bucket, keys, 1, rollback={"workflow": "workflow-1"})
    bucket.delete(keys.record(1))
    bucket.delete(keys.claim(1))
    copy_aside(bucket, keys, 1, renew=lambda: None)
    assert not is_archived(bucket, keys, 1)
    for name in ("model.onnx", "metadata.json"):
        bucket.delete(keys.version(1) + name)
    assert is_archived(bucket, keys, 1)
    assert mark_archived(bucket, keys, 1)
    assert published_sha256(bucket, keys, 1) == claim_for(b"a model").model_sha256
    assert read_record(bucket, keys, 1) == {"mlflow": {"model_name": keys.model}}
    with pytest.raises(StepError, match="is not the metadata of a deployment: 'triton'"):
        read_metadata(bucket, keys, 1, tmp_path)
    assert claim_next(bucket, keys, claim_for(b"new", "workflow-9")) == 3
    with pytest.raises(StepError, match="published with other bytes"):
        claim_forced(bucket, keys, 1, claim_for(b"new", "workflow-9"))
    assert claim_forced(bucket, keys, 1, claim_for(b"a model", "workflow-9")) == 1


def test_there_and_back(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    assert archive(bucket, keys) == [1]
    claim = read_claim(bucket, keys, 1)
    assert claim is not None
    assert (claim.owner, bool(claim.archived_at)) == ("workflow-1", True)
    for _ in range(2):
        bring_back(bucket, keys, 1, "test")
        assert content(bucket, keys.version(1)) == FILES
        assert archived_versions(bucket, keys) == set()
    claim = read_claim(bucket, keys, 1)
    assert claim is not None
    assert not claim.archived_at
    bring_back(bucket, keys, 7, "nobody has it")
    assert published_versions(bucket, keys) == {1, 2}
    assert archive(bucket, keys) == [1]


def test_other_bytes_in_the_archive_or_in_the_way_of_coming_back(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    bucket.write_if_absent(keys.archived(1) + MODEL_FILE, b"of a version that was replaced")
    assert archive(bucket, keys) == [1]
    assert content(bucket, keys.archived(1)) == FILES
    bucket.write_if_absent(keys.version(1) + "weights.bin", b"another's")
    with pytest.raises(StepError, match="something else writes to the repository"):
        bring_back(bucket, keys, 1, "test")
    assert content(bucket, keys.archived(1)) == FILES


def test_a_version_that_cannot_be_copied_keeps_no_other_from_it(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, files={**FILES, "empty.bin": b""})
    publish(bucket, keys, 2, 3)
    with pytest.raises(StepError, match=r"\[2\] of .* archived: .*empty\.bin has 0 bytes"):
        archive(bucket, keys)
    assert published_versions(bucket, keys) == {1, 3}
    assert archived_versions(bucket, keys) == {2} | ({1} & archived_versions(bucket, keys))


def test_a_claim_that_changes_under_the_archiving_wins(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    looks = itertools.count(1)
    wanted = claim_for(b"a model", "workflow-9")
    files = {name: body for name, body in FILES.items() if name in ("model.onnx", "metadata.json")}
    publish(bucket, keys, 3, files=files)
    assert wanted.model_sha256 == published_sha256(bucket, keys, 3)
    publish(bucket, keys, 4)

    def stands_on_3() -> Mapping[int, str]:
        # Asked twice for the plan, and once more under the serving lease: then a deployment forces version 3.
        if next(looks) == 3:
            claim_forced(bucket, keys, 3, wanted)
        return {1: "live", 2: "previous"}

    assert Archiving(bucket, keys, 1, stands_on_3).run("test") == []
    assert published_versions(bucket, keys) == {1, 2, 3, 4}


def test_nothing_leaves_while_something_is_loaded(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    copied = keys.archived(1) + MODEL_FILE
    with ThreadPoolExecutor(1) as pool:
        with lease.held(bucket, keys.lock("serving"), "a deployment", seconds=60, patience=0):
            archiving = pool.submit(archive, bucket, keys)
            while bucket.head(copied) is None:
                assert not archiving.done()
                time.sleep(0.05)
            assert content(bucket, keys.version(1)) == FILES
        assert archiving.result() == [1]


def test_archivings_at_once(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, *range(1, 7))
    with ThreadPoolExecutor(3) as pool:
        gone = list(pool.map(lambda n: Archiving(bucket, keys, 2, dict).run(f"test-{n}"), range(3)))
    assert sorted(version for one in gone for version in one) == [1, 2, 3, 4]
    assert published_versions(bucket, keys) == {5, 6}
    assert all(content(bucket, keys.archived(version)) == FILES for version in range(1, 5))


@contextmanager
def hooked(bucket: Bucket, call: Callable[..., None]) -> Iterator[None]:
    """Whatever this bucket's client asks of S3, it calls this first, with `model`: the operation."""
    bucket.client.meta.events.register("before-call.s3", call)
    try:
        yield
    finally:
        bucket.client.meta.events.unregister("before-call.s3", call)


def test_one_that_stands_still_takes_nothing_from_one_that_overtakes_it(
    bucket: Bucket, keys: ModelKeys
) -> None:
    publish(bucket, keys, 1, 2)
    bucket.write_if_absent(keys.archived(1) + MODEL_FILE, b"of a version that was replaced")
    calls, stands, goes = itertools.count(), Event(), Event()

    def stand_still(model: Any, **_: Any) -> None:
        if model.name == "DeleteObject" and next(calls) == 0:
            stands.set()
            goes.wait(60)

    with hooked(bucket, stand_still), ThreadPoolExecutor(2) as pool:
        slow = pool.submit(Archiving(bucket, keys, 1, dict).run, "slow")
        assert stands.wait(60)
        fast = pool.submit(Archiving(bucket, keys, 1, dict).run, "fast")
        wait([fast], timeout=3)
        goes.set()
        assert [*slow.result(), *fast.result()] == [1]
    assert content(bucket, keys.archived(1)) == FILES


def test_what_left_meanwhile_is_not_cleared_from_the_archive(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    assert archive(bucket, keys) == [1]
    copy_aside(bucket, keys, 1, renew=lambda: None)
    assert content(bucket, keys.archived(1)) == FILES


class Killed(BaseException):
    """The process is no more: nothing that it would still do happens."""


@contextmanager
def killed_before(bucket: Bucket, writes: int) -> Iterator[Callable[[], bool]]:
    """Every call to S3 fails from the n-th writing one on; what it gives tells whether it came to that."""
    left, dead = itertools.count(writes, -1), False

    def die(model: Any, **_: Any) -> None:
        nonlocal dead
        dead = dead or (model.name in WRITES and next(left) == 0)
        if dead:
            raise Killed

    with hooked(bucket, die):
        yield lambda: dead


def test_killed_before_any_writing_the_version_is_whole_and_the_next_run_finishes(
    bucket: Bucket, keys: ModelKeys
) -> None:
    publish(bucket, keys, 1, 2)
    for there in (True, False):
        for writes in itertools.count():
            with killed_before(bucket, writes) as died:
                with suppress(Killed):
                    archive(bucket, keys) if there else bring_back(bucket, keys, 1, "test")
                over = not died()
            assert whole_somewhere(bucket, keys, 1), (there, writes)
            if over:
                break
        assert writes > 12
        assert folder_of(bucket, keys, 1) == (keys.archived(1) if there else keys.version(1))
        assert whole_somewhere(bucket, keys, 1)
    assert archive(bucket, keys) == [1]
    assert content(bucket, keys.archived(1)) == FILES
    assert list(bucket.keys(keys.version(1))) == []


def test_pruning_counts_and_removes_archived_versions(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, *range(1, 6))
    assert archive(bucket, keys, keep=2) == [1, 2, 3]
    pruning = Pruning(bucket, keys, 3, lambda: {1: "previous"}, min_age=0)
    assert pruning.run("test", dry_run=True).pruned == [2]
    assert pruning.run("test", dry_run=False).pruned == [2]
    assert (archived_versions(bucket, keys), published_versions(bucket, keys)) == ({1, 3}, {4, 5})
    assert whole_somewhere(bucket, keys, 1)
    with pytest.raises(StepError, match="was pruned, and its number is not given again"):
        claim_forced(bucket, keys, 2, claim_for(b"new", "workflow-9"))


def test_an_upload_into_the_archive_that_never_ended_is_removed(bucket: Bucket, keys: ModelKeys) -> None:
    key = keys.archived(1) + MODEL_FILE
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    assert clear_leftovers(bucket, keys, dry_run=False) == []
    assert clear_leftovers(bucket, keys, dry_run=False, min_age=0) == [key]
    assert clear_leftovers(bucket, keys, dry_run=False, min_age=0) == []


def test_no_repository_lies_in_the_archive() -> None:
    with pytest.raises(UsageError, match=r"archive, .* are kept for other things"):
        ModelKeys("archive/models", "m")
    assert ModelKeys("a", "m").archived(1) != ModelKeys("b", "m").archived(1)
