"""The documented IAM policies: enough for what each role does, and no more."""

import hashlib
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from argosy.components.deployment import (
    archive_versions,
    compare_live,
    determine_version,
    prune_versions,
    rollback,
    sync_triton,
    upload_to_s3,
)
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.archive import Archiving, bring_back, copy_aside
from argosy.components.deployment.repository.pruning import Pruning, clear_leftovers
from argosy.components.shared import s3
from argosy.components.shared.files import fingerprint
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.components.training.checkpoints.checkpoints import open_store
from argosy.components.training.data.download import local_folder
from argosy.errors import StepError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers, prepared
from tests.components.deployment.deploying import Deployment
from tests.security.guarded_s3 import GuardedS3, guarded_s3
from tests.security.iam import Grant, Use, grants, recorded

POLICIES = Path(__file__).parent.parent.parent / "docs" / "iam"
# A copy of the old bytes, or into the archive, that fails in its middle is given up.
AFTER_A_FAILED_COPY = {
    Use("s3:AbortMultipartUpload", f"my-triton-models/{key}/model.onnx")
    for key in ("staging/m/replaced-1", "archive/models/m/1")
}


def _check(policy: str, uses: set[Use]) -> None:
    """Every use is granted, and every right is used."""
    given = grants(POLICIES / f"{policy}.json")
    assert [use for use in sorted(uses) if not any(grant.covers(use) for grant in given)] == []
    assert [grant for grant in given if not any(grant.covers(use) for use in uses)] == []


def test_deployment(
    servers: Servers,
    name: str,
    keys: ModelKeys,
    bucket: Bucket,
    register: Callable[[bytes], str],
    tmp_path: Path,
) -> None:
    _record_a_request(bucket, name)
    with recorded() as uses:
        for seed in (1, 2):
            register(models.conv_net(seed))
            Deployment(servers, name).run(f"workflow-{seed}")
        rollback(
            model_name=name,
            mlflow_tracking_uri=servers.mlflow,
            s3_bucket=servers.bucket,
            triton_url=servers.triton,
            triton_grpc_url=servers.triton_grpc,
        )
        # As a replica that has just been started.
        Triton(servers.triton).unload(name, 30)
        where = {"mlflow_tracking_uri": servers.mlflow, "s3_bucket": servers.bucket}
        assert sync_triton(model_name=name, triton_url=servers.triton, **where).changed == [servers.triton]
        # Somebody else was quicker: what is staged is given up.
        file = prepared(tmp_path / "again", name, 1, models.conv_net(1)) / "1" / "model.onnx"
        with bucket.stage(file, keys.version(1) + "model.onnx", fingerprint(file)) as staged:
            assert not staged.appear()
        # What a killed run left in a version that is not complete.
        bucket.write_if_absent(keys.version(3) + "weights", b"left")
        model = models.conv_net(3)
        inputs = {"owner": "workflow-3", "model_name": name, "s3_bucket": servers.bucket}
        determine_version(
            model_version="2", model_sha256=hashlib.sha256(model).hexdigest(), force_version=3, **inputs
        )
        upload_to_s3(artifacts=prepared(tmp_path / "p", name, 3, model), triton_version=3, **inputs)
        _replace(tmp_path / "r", name, servers.mlflow, 3, inputs)
        _compare(servers, name)
        archive_versions(model_name=name, keep=1, **where)
        assert Archiving(bucket, keys, 1, lambda: {1: "live"}).run("me") == [2]
        bring_back(bucket, keys, 2, "test")
    _check("deployment", uses | AFTER_A_FAILED_COPY)


def _record_a_request(bucket: Bucket, name: str) -> None:
    tensor = {"name": "input", "shape": [1, 3, 8, 8], "datatype": "FP32", "data": [0.5] * 192}
    body = json.dumps({"inputs": [tensor]}).encode()
    bucket.client.put_object(Bucket=bucket.name, Key=f"requests/{name}/1.json", Body=body)


def _compare(servers: Servers, name: str) -> None:
    """Version 2, which the rollback took back, beside the live one, on a recorded request."""
    compare_live(
        triton_version=2,
        model_version="2",
        recorded_requests=f"s3://{servers.bucket}/requests/{name}",
        images=0,
        model_name=name,
        mlflow_tracking_uri=servers.mlflow,
        s3_bucket=servers.bucket,
        triton_url=servers.triton,
        triton_grpc_url=servers.triton_grpc,
    )


def _replace(folder: Path, name: str, tracking: str, version: int, inputs: dict[str, str]) -> None:
    model = models.conv_net(4)
    forced = {"force_version": version, "replace": True, "mlflow_tracking_uri": tracking, **inputs}
    determine_version(model_version="2", model_sha256=hashlib.sha256(model).hexdigest(), **forced)
    upload_to_s3(artifacts=prepared(folder, name, version, model), triton_version=version, **forced)


def test_prune(
    servers: Servers, name: str, keys: ModelKeys, bucket: Bucket, register: Callable[[bytes], str]
) -> None:
    for seed in (1, 2, 3):
        register(models.conv_net(seed))
        Deployment(servers, name).run(f"workflow-{seed}")
    copy_aside(bucket, keys, 1, renew=lambda: None)
    unfinished = [
        f"staging/{name}/9-dead/model.onnx",
        keys.version(9) + "model.onnx",
        keys.archived(9) + "model.onnx",
    ]
    for key in unfinished:
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    bucket.write_if_absent(f"staging/{name}/8-dead/model.onnx", b"left")
    with recorded() as uses:
        prune_versions(model_name=name, keep=1, mlflow_tracking_uri=servers.mlflow, s3_bucket=servers.bucket)
        assert Pruning(bucket, keys, 1, lambda: {3: "live", 2: "previous"}, min_age=0).run(
            "me", False
        ).pruned == [1]
        clear_leftovers(bucket, keys, dry_run=False, min_age=0)
    _check("prune", uses)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedS3]:
    """A server that enforces policies."""
    with guarded_s3(tmp_path_factory.mktemp("guarded")) as server:
        yield server


def _become(user: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in user.items():
        monkeypatch.setenv(variable, value)


@pytest.mark.parametrize("policy", ["deployment", "prune", "triton"])
def test_the_policy_on_a_server_that_enforces_it(
    guarded: GuardedS3, policy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _become(guarded.user(policy, POLICIES / f"{policy}.json"), monkeypatch)
    guarded.put("models/other/config.pbtxt", b"name: 'other'")
    bucket = s3.connect(guarded.where.bucket)
    writes = {
        "models/m/config.pbtxt": policy == "deployment",
        "claims/m/7.json": policy in ("deployment", "prune"),
        "datasets/digits/x.png": False,
        "elsewhere/x": False,
    }
    for key, allowed in writes.items():
        if allowed:
            bucket.write_if_absent(key, b"x")
        else:
            with pytest.raises(StepError, match="lack the right"):
                bucket.write_if_absent(key, b"x")
    assert bucket.read("models/other/config.pbtxt") is not None
    with pytest.raises(StepError, match="lack the right"):
        bucket.read("datasets/digits/x.png")
    for key in ("claims/m/7.json", "models/other/config.pbtxt", "deployments/m/1.json"):
        with pytest.raises(StepError, match="lack the right"):
            bucket.delete(key)


def test_a_version_is_published_by_the_deployment_role(
    guarded: GuardedS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _become(guarded.user("publisher", POLICIES / "deployment.json"), monkeypatch)
    model = models.conv_net(1)
    common = {"owner": "workflow-1", "model_name": "guarded", "s3_bucket": guarded.where.bucket}
    version = determine_version(
        model_version="1", model_sha256=hashlib.sha256(model).hexdigest(), **common
    ).triton_version
    upload_to_s3(
        artifacts=prepared(tmp_path / "p", "guarded", version, model), triton_version=version, **common
    )
    bucket = s3.connect(guarded.where.bucket)
    names = {key.rpartition("/")[2] for key in bucket.keys("models/guarded/")}
    assert names == {"config.pbtxt", "model.onnx", "metadata.json"}
    assert list(bucket.keys("staging/guarded/")) == []
    with pytest.raises(StepError, match="lack the right"):
        determine_version(
            model_version="1", model_sha256="0" * 64, s3_prefix="private", **{**common, "owner": "other"}
        )
        upload_to_s3(
            artifacts=prepared(tmp_path / "q", "guarded", 2, model),
            triton_version=2,
            s3_prefix="private",
            **{**common, "owner": "other"},
        )


def test_training(guarded: GuardedS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for bucket in ("my-datasets", "my-checkpoints"):
        guarded.make_bucket(bucket)
    guarded.put("digits/train/a/1.png", b"x", "my-datasets")
    guarded.put("digits/val/a/1.png", b"x", "my-datasets")
    _become(guarded.user("trainer", POLICIES / "training.json"), monkeypatch)
    with recorded() as uses:
        folder = local_folder("s3://my-datasets/digits", workers=1, cache=tmp_path)
        store = open_store("s3://my-checkpoints/runs", "workflow-1")
        store.write("one", BytesIO(b"x"))
        assert store.names() == ["one"] and store.read("one") == b"x"
        store.delete("one")
    assert (folder / "train/a/1.png").read_bytes() == b"x"
    _check("training", uses)
    with pytest.raises(StepError, match="lack the right"):
        open_store("s3://my-datasets/digits", "x").write("one", BytesIO(b"x"))


def test_no_policy_is_wider_than_its_buckets() -> None:
    for policy in POLICIES.glob("*.json"):
        if policy.stem == "trust":
            continue
        for grant in grants(policy):
            assert grant.pattern not in ("*", "") and "*" not in grant.pattern.partition("/")[0]
            assert "*" not in grant.action
    assert not Grant("s3:GetObject", "b/models/*/*/*").covers(Use("s3:GetObject", "b/models/m/config.pbtxt"))
