"""Pruning, on the real servers: what stays, what goes, and what a killed run leaves."""

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import prune_versions
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.archive import standing
from argosy.components.deployment.repository.pruning import Pruned, Pruning, clear_leftovers
from argosy.components.deployment.repository.versions import (
    claim_forced,
    claim_next,
    mark_pruned,
    published_versions,
    read_claim,
)
from argosy.components.shared import lease, registry
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError, UsageError
from tests.components.deployment.conftest import Servers, claim_for

NOTHING: Mapping[int, str] = {}


def publish(bucket: Bucket, keys: ModelKeys, *versions: int, files: tuple[str, ...] = ()) -> None:
    """Versions, each claimed by a workflow of its own."""
    for version in versions:
        bucket.write_if_absent(keys.claim(version), claim_for(b"a model", f"workflow-{version}").encode())
        for file in files or ("model.onnx", "metadata.json"):
            bucket.write_if_absent(keys.version(version) + file, b"a model")


def prune(
    bucket: Bucket,
    keys: ModelKeys,
    keep: int = 1,
    stands: Mapping[int, str] = NOTHING,
    min_age: float = 0,
    dry_run: bool = False,
) -> list[int]:
    """Prune as if everything were old enough; the versions that went."""
    return Pruning(bucket, keys, keep, lambda: stands, min_age).run("test", dry_run).pruned


@pytest.mark.parametrize(
    ("versions", "keep", "stands", "gone"),
    [
        ([], 1, {}, []),
        ([1], 1, {}, []),
        ([1, 2, 3], 1, {}, [1, 2]),
        ([1, 2, 3], 5, {}, []),
        ([1, 2, 3, 4, 5], 2, {1: "previous"}, [2, 3]),
        ([1, 2, 3, 4, 5], 1, {2: "live", 1: "previous"}, [3, 4]),
        ([2, 9, 10, 11], 2, {}, [2, 9]),
    ],
)
def test_the_newest_and_those_in_use_stay(
    bucket: Bucket, keys: ModelKeys, versions: list[int], keep: int, stands: dict[int, str], gone: list[int]
) -> None:
    publish(bucket, keys, *versions)
    assert prune(bucket, keys, keep, stands, dry_run=True) == gone
    assert published_versions(bucket, keys) == set(versions)
    assert prune(bucket, keys, keep, stands) == gone
    assert published_versions(bucket, keys) == set(versions) - set(gone)
    assert prune(bucket, keys, keep, stands) == []


def test_what_is_young_stays(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2, 3)
    assert prune(bucket, keys, min_age=3600) == []
    assert published_versions(bucket, keys) == {1, 2, 3}


def test_a_dry_run_writes_nothing_at_all(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    before = {key: bucket.head(key) for key in _everything(bucket, keys)}
    prune(bucket, keys, dry_run=True)
    assert {key: bucket.head(key) for key in _everything(bucket, keys)} == before


def test_a_number_is_never_given_again(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2, 3)
    assert prune(bucket, keys) == [1, 2]
    claim = read_claim(bucket, keys, 2)
    assert claim is not None
    assert claim.owner == "workflow-2"
    assert claim.pruned_at
    assert claim_next(bucket, keys, claim_for(b"new", "workflow-9")) == 4
    # Its own owner, run again, does not publish it anew either.
    assert claim_next(bucket, keys, claim_for(b"a model", "workflow-2")) == 5
    with pytest.raises(StepError, match=r"version 2 .* was pruned, and its number is not given again"):
        claim_forced(bucket, keys, 2, claim_for(b"new", "workflow-9"))


def test_a_version_that_nobody_claimed(bucket: Bucket, keys: ModelKeys) -> None:
    bucket.write_if_absent(keys.version(1) + "model.onnx", b"by hand")
    publish(bucket, keys, 2)
    assert prune(bucket, keys) == [1]
    assert claim_next(bucket, keys, claim_for(b"new", "workflow-9")) == 3


def test_a_claim_that_changes_under_the_pruning_wins(
    bucket: Bucket, keys: ModelKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bucket, keys, 1, 2)
    assert not mark_pruned(bucket, keys, 1, min_age=3600)
    # The plan is made, and then a deployment that forces version 1 makes its claim young.
    monkeypatch.setattr(Pruning, "_plan", lambda self: Pruned([1], [2]))
    assert prune(bucket, keys, min_age=3600) == []
    assert published_versions(bucket, keys) == {1, 2}


@pytest.mark.parametrize("killed_before", range(5))
def test_a_killed_run_leaves_a_whole_version_or_none_and_is_finished(
    bucket: Bucket, keys: ModelKeys, monkeypatch: pytest.MonkeyPatch, killed_before: int
) -> None:
    publish(bucket, keys, 1, files=("model.onnx", "weights.bin", "sub/more.bin", "metadata.json"))
    publish(bucket, keys, 2)
    deleted: list[str] = []
    delete = Bucket.delete

    def die(self: Bucket, key: str) -> None:
        if len(deleted) == killed_before:
            raise KeyboardInterrupt
        deleted.append(key)
        delete(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete", die)
        if killed_before < 4:
            with pytest.raises(KeyboardInterrupt):
                prune(bucket, keys)
    left = {key.removeprefix(keys.version(1)) for key in bucket.keys(keys.version(1))}
    # A folder with model.onnx is a version that Triton can load; without it, no version.
    assert "model.onnx" not in left or {"weights.bin", "sub/more.bin"} <= left
    assert prune(bucket, keys) == [1]
    assert published_versions(bucket, keys) == {2}


def test_half_published_versions_do_not_count_as_new_and_go(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    publish(bucket, keys, 3, files=("weights.bin",))
    assert prune(bucket, keys) == [1, 3]
    assert published_versions(bucket, keys) == {2}


def test_prunings_at_once(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, *range(1, 9))
    with ThreadPoolExecutor(4) as pool:
        gone = list(pool.map(lambda _: prune(bucket, keys, keep=3), range(4)))
    assert sorted(version for one in gone for version in one) == [1, 2, 3, 4, 5]
    assert published_versions(bucket, keys) == {6, 7, 8}


def test_nothing_is_pruned_while_something_is_loaded(bucket: Bucket, keys: ModelKeys) -> None:
    publish(bucket, keys, 1, 2)
    with ThreadPoolExecutor(1) as pool:
        with lease.held(bucket, keys.lock("serving"), "a deployment", seconds=60, patience=0):
            pruning = pool.submit(prune, bucket, keys)
            time.sleep(1)
            assert not pruning.done()
            assert published_versions(bucket, keys) == {1, 2}
        assert pruning.result() == [1]


# --------------------------------------------------------------------------------------------- what is in use


def test_what_the_aliases_and_the_config_stand_for(
    bucket: Bucket, keys: ModelKeys, client: MlflowClient, name: str
) -> None:
    registry.ensure_model(client, name)
    assert standing(client, bucket, keys) == {}
    for alias, tag in (("previous", "4"), ("live", "7"), ("deploy", "9")):
        made = client.create_model_version(name, "s3://nowhere/model")
        registry.set_version_tags(client, name, made.version, {"triton.version": tag})
        registry.set_alias(client, name, alias, made.version)
    assert standing(client, bucket, keys) == {4: "previous", 7: "live"}
    bucket.write_if_absent(keys.config, b"version_policy { specific { versions: [6, 7] } }")
    assert standing(client, bucket, keys) == {4: "previous", 6: "named in config.pbtxt", 7: "live"}


@pytest.mark.parametrize("tag", [None, "", "latest", "0", "3.5"])
def test_an_alias_that_does_not_say_what_it_serves_stops_everything(
    servers: Servers, bucket: Bucket, keys: ModelKeys, client: MlflowClient, name: str, tag: str | None
) -> None:
    registry.ensure_model(client, name)
    made = client.create_model_version(name, "s3://nowhere/model")
    if tag is not None:
        registry.set_version_tags(client, name, made.version, {"triton.version": tag})
    registry.set_alias(client, name, "live", made.version)
    publish(bucket, keys, 1, 2)
    with pytest.raises(StepError, match="nobody can tell which version is live"):
        _step(servers, name)
    assert published_versions(bucket, keys) == {1, 2}


def _step(servers: Servers, name: str, **more: object) -> tuple[list[int], list[int]]:
    return prune_versions(  # type: ignore[arg-type,return-value]
        **{"keep": 1, "model_name": name, "mlflow_tracking_uri": servers.mlflow, "s3_bucket": servers.bucket}
        | more
    )


def test_the_step(servers: Servers, bucket: Bucket, keys: ModelKeys, client: MlflowClient, name: str) -> None:
    registry.ensure_model(client, name)
    publish(bucket, keys, 1, 2)
    assert _step(servers, name, dry_run=True) == ([], [1, 2])
    assert _step(servers, name) == ([], [1, 2])  # they are younger than an hour


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"keep": 0}, UsageError, "keep 0 is not a number of versions"),
        ({"mlflow_tracking_uri": "http://127.0.0.1:9"}, StepError, "does not answer"),
        ({"model_name": "nobody"}, StepError, "MLflow has no registered model 'nobody'"),
        ({"model_name": "../x"}, UsageError, "cannot be part of a key"),
        ({"s3_bucket": "no-such-bucket"}, StepError, "there is no such bucket"),
    ],
)
def test_what_ends_the_step_before_anything_goes(
    servers: Servers,
    bucket: Bucket,
    keys: ModelKeys,
    client: MlflowClient,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry.ensure_model(client, name)
    publish(bucket, keys, 1, 2)
    try:
        with pytest.raises(error, match=message) as caught:
            _step(servers, name, **change)
    finally:
        mlflow.set_tracking_uri(servers.mlflow)
        mlflow.set_registry_uri(servers.mlflow)
    assert "\n" not in str(caught.value)
    assert published_versions(bucket, keys) == {1, 2}


# ------------------------------------------------------------------------------------------------- leftovers


def _leave(bucket: Bucket, keys: ModelKeys) -> set[str]:
    """What killed steps leave behind."""
    staged = {keys.replaced(1) + "model.onnx", keys.replaced(1) + "metadata.json"}
    for key in staged:
        bucket.write_if_absent(key, b"x")
    bucket.write_if_absent(keys.lock("serving"), json.dumps(lease.Holder("dead", "x", 0).__dict__).encode())
    upload = keys.version(1) + "model.onnx"
    bucket.client.create_multipart_upload(Bucket=bucket.name, Key=upload)
    return staged | {keys.lock("serving"), upload}


def test_old_leftovers_go_and_young_ones_stay(bucket: Bucket, keys: ModelKeys) -> None:
    left = _leave(bucket, keys)
    other = ModelKeys("models", keys.model + "-other")
    _leave(bucket, other)
    assert clear_leftovers(bucket, keys, dry_run=False) == []
    assert set(clear_leftovers(bucket, keys, dry_run=True, min_age=0)) == left
    assert set(clear_leftovers(bucket, keys, dry_run=False, min_age=0)) == left
    assert clear_leftovers(bucket, keys, dry_run=True, min_age=0) == []
    assert len(clear_leftovers(bucket, other, dry_run=True, min_age=0)) == 4


def test_a_lease_that_is_held_stays(bucket: Bucket, keys: ModelKeys) -> None:
    with lease.held(bucket, keys.lock("serving"), "a deployment", seconds=60, patience=0):
        assert clear_leftovers(bucket, keys, dry_run=False, min_age=0) == []
        assert bucket.head(keys.lock("serving")) is not None


def _everything(bucket: Bucket, keys: ModelKeys) -> list[str]:
    folders = (keys.root, keys.claims, keys.locks, keys.stagings, keys.records)
    return [key for folder in folders for key in bucket.keys(folder)]
