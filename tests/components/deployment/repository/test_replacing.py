"""Replacing a published version, on the real servers."""

import contextlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import determine_version, upload_to_s3
from argosy.components.deployment.model.artifacts import read_artifacts
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository import versions
from argosy.components.deployment.repository.publishing import Publication, publish, replace
from argosy.components.deployment.repository.versions import read_claim, take_claim
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket, Pending
from argosy.components.shared.triton import Triton
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.configuring import config_of_a_load
from tests.components.deployment.conftest import Servers, claim_for, prepared

OLD, NEW = models.conv_net(1), models.conv_net(2)


def nothing_stands() -> Mapping[int, str]:
    """Nobody uses any version."""
    return {}


@pytest.fixture
def place(bucket: Bucket, keys: ModelKeys, tmp_path: Path) -> Publication:
    """Version 1, published with the old bytes, and claimed for the new ones."""
    old = Publication(bucket, keys, 1, "workflow-1")
    assert take_claim(bucket, keys, 1, claim_for(OLD))
    publish(old, read_artifacts(prepared(tmp_path / "old", keys.model, 1, OLD), 1))
    assert take_claim(bucket, keys, 1, claim_for(NEW))
    prepared(tmp_path / "new", keys.model, 1, NEW)
    return old


def _replace(place: Publication, folder: Path, stands: Mapping[int, str] | None = None) -> None:
    replace(place, read_artifacts(folder / "new" / "artifacts", 1), lambda: stands or {})


def _body(place: Publication, name: str) -> bytes:
    found = place.bucket.read(place.target + name)
    assert found is not None
    return found[0]


def _described(place: Publication) -> str:
    return str(json.loads(_body(place, "metadata.json"))["model"]["sha256"])


def _is_new(place: Publication) -> bool:
    assert _body(place, "model.onnx") == NEW
    assert _described(place) == claim_for(NEW).model_sha256
    return list(place.bucket.keys(place.keys.stagings)) == []


def test_the_new_bytes_take_the_place_of_the_old(place: Publication, tmp_path: Path) -> None:
    _replace(place, tmp_path)
    assert _is_new(place)
    _replace(place, tmp_path)
    assert _is_new(place)


@pytest.mark.parametrize("why", ["live", "previous", "named in config.pbtxt"])
def test_what_is_in_use_is_not_replaced(place: Publication, tmp_path: Path, why: str) -> None:
    with pytest.raises(StepError, match=f"version 1 of .* is not replaced: it is {why}"):
        _replace(place, tmp_path, {1: why})
    assert _body(place, "model.onnx") == OLD
    assert list(place.bucket.keys(place.keys.stagings)) == []


def test_without_being_told_so_nothing_is_replaced(place: Publication, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"published versions are immutable; .*replace=true"):
        publish(place, read_artifacts(tmp_path / "new" / "artifacts", 1))
    assert _body(place, "model.onnx") == OLD


def test_a_model_with_data_files_is_not_replaced(place: Publication, tmp_path: Path) -> None:
    place.bucket.write_if_absent(place.target + "weights", b"x")
    with pytest.raises(StepError, match=r"\['weights'\] cannot change at the same moment"):
        _replace(place, tmp_path)


CALLS = {
    Bucket: (
        "stage",
        "copy_if_absent",
        "delete_below",
        "head",
        "fetch",
        "write_if_absent",
        "write_if_unchanged",
    ),
    Pending: ("appear", "take_the_place_of"),
}


@pytest.mark.parametrize("killed_at", range(1, 44, 3))
def test_a_killed_run_loses_nothing_and_is_finished(
    place: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """The process ends at any of its calls to S3: nothing of it, no clearing up, comes after that."""
    calls = 0

    def dying(kind: type, method: str) -> object:
        real = getattr(kind, method)

        def call(self: object, *arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= killed_at:
                raise KeyboardInterrupt
            return real(self, *arguments)

        return call

    with monkeypatch.context() as patch:
        for kind, methods in CALLS.items():
            for method in methods:
                patch.setattr(kind, method, dying(kind, method))
        with contextlib.suppress(KeyboardInterrupt):
            _replace(place, tmp_path)
    there = _body(place, "model.onnx")
    assert there in (OLD, NEW)
    if there == NEW and _described(place) != claim_for(NEW).model_sha256:
        # Half way: the old bytes are still to be had.
        kept = place.bucket.read(place.keys.replaced(1) + "model.onnx")
        assert kept is not None
        assert kept[0] == OLD
    place.bucket.delete(place.keys.lock("serving"))  # as if the dead holder's seconds had passed
    _replace(place, tmp_path)
    assert _is_new(place)


def test_a_reader_sees_the_old_bytes_or_the_new(place: Publication, tmp_path: Path) -> None:
    done, seen = threading.Event(), set()

    def watch() -> None:
        while not done.wait(0.01):
            found = place.bucket.read(place.target + "model.onnx")
            seen.add(found[0] if found else b"")

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        _replace(place, tmp_path)
    finally:
        done.set()
        reader.join()
    assert seen <= {OLD, NEW}


def test_triton_serves_the_new_bytes_after_the_next_load(
    place: Publication, triton: Triton, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)

    def answers(model: bytes) -> bool:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        served = triton.infer(place.keys.model, 1, {"input": image})["output"]
        return bool(np.allclose(served, session.run(None, {"input": image})[0], atol=1e-5))

    config = config_of_a_load(place.keys.model, 1)
    triton.load(place.keys.model, 60, config)
    assert answers(OLD)
    _replace(place, tmp_path)
    triton.load(place.keys.model, 60, config)
    assert answers(NEW)


# ------------------------------------------------------------------------------------------------- the steps


def _steps(servers: Servers, name: str, folder: Path, model: bytes, owner: str, **more: object) -> str:
    """determine-version and upload-to-s3 of one deployment; where it published."""
    common = {"model_name": name, "s3_bucket": servers.bucket, "owner": owner} | more
    common |= {"mlflow_tracking_uri": servers.mlflow}
    claimed = determine_version(  # type: ignore[call-arg]
        model_version="1", model_sha256=claim_for(model).model_sha256, **common
    )
    made = prepared(folder / owner, name, claimed.triton_version, model)
    return upload_to_s3(  # type: ignore[call-arg]
        artifacts=made, triton_version=claimed.triton_version, **common
    ).model_uri


@pytest.fixture
def registered(client: MlflowClient, name: str) -> str:
    """The model in MLflow, with a version that is live as Triton's 1; its number."""
    registry.ensure_model(client, name)
    made = client.create_model_version(name, "s3://nowhere/model")
    registry.set_version_tags(client, name, made.version, {"triton.version": "1"})
    registry.set_alias(client, name, "live", made.version)
    return str(made.version)


@pytest.mark.usefixtures("registered")
def test_force_version(
    servers: Servers,
    bucket: Bucket,
    keys: ModelKeys,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def steps(model: bytes, owner: str, **more: object) -> str:
        return _steps(servers, name, tmp_path, model, owner, **more)

    assert steps(OLD, "a").endswith("/1/")
    assert steps(OLD, "b", force_version=2).endswith("/2/")
    assert steps(OLD, "c", force_version=2).endswith("/2/")  # the same bytes: deployed again
    with pytest.raises(StepError, match="published versions are immutable"):
        steps(NEW, "d", force_version=2)
    with pytest.raises(StepError, match=r"claimed \d+ s ago by b, whose deployment may still run"):
        steps(NEW, "e", force_version=2, replace=True)
    with pytest.raises(StepError, match=r"version 1 of .* is not replaced: it is live"):
        steps(NEW, "f", force_version=1, replace=True)
    claim = read_claim(bucket, keys, 1)
    assert claim is not None
    assert claim.owner == "a"  # a refused deployment owns nothing
    monkeypatch.setattr(versions, "IN_FLIGHT_SECONDS", -1)
    assert steps(NEW, "g", force_version=2, replace=True).endswith("/2/")
    assert (bucket.read(keys.version(2) + "model.onnx") or (b"",))[0] == NEW
    assert (read_claim(bucket, keys, 2) or pytest.fail("no claim")).owner == "g"


def test_to_replace_one_has_to_say_which(servers: Servers, name: str) -> None:
    with pytest.raises(UsageError, match="replace needs force_version"):
        determine_version(
            model_version="1",
            model_sha256="ab",
            owner="a",
            model_name=name,
            s3_bucket=servers.bucket,
            replace=True,
        )
