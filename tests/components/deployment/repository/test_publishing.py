"""Publishing, on the real S3 server: whole or not at all, once and for ever."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from argosy.components.deployment.model.artifacts import Artifacts, LocalFile, lay_out, read_artifacts
from argosy.components.deployment.model.layout import (
    Metadata,
    MlflowOrigin,
    ModelFacts,
    ModelKeys,
    ValidationFacts,
)
from argosy.components.deployment.model.onnx_model import pack
from argosy.components.deployment.repository.publishing import Publication, publish
from argosy.components.deployment.repository.versions import Claim, claim_forced, claim_next, published_sha256
from argosy.components.shared.files import fingerprint
from argosy.components.shared.s3 import Bucket, Pending
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import TritonRefused
from argosy.errors import StepError
from tests.components.deployment import models
from tests.components.deployment.configuring import config_of_a_load
from tests.components.deployment.conftest import claim_for, prepared


@dataclass(frozen=True)
class Site:
    """A model's place in the bucket, and a folder to prepare in."""

    bucket: Bucket
    keys: ModelKeys
    folder: Path

    def publish(self, model: bytes, version: int = 1, owner: str = "workflow-1") -> str:
        """Prepare and publish a model's bytes, as the two steps do."""
        made = self.folder / f"{version}-{owner}-{hash(model)}" / "artifacts"
        if not made.exists():
            prepared(made.parent, self.keys.model, version, model)
        return publish(Publication(self.bucket, self.keys, version, owner), read_artifacts(made, version))

    def claim(self, model: bytes, owner: str = "workflow-1") -> int:
        """Claim the next version for a model's bytes."""
        return claim_next(self.bucket, self.keys, claim_for(model, owner))

    def objects(self, folder: str = "") -> set[str]:
        """The model's keys in the repository, below a folder of its own, without the common part."""
        return {key[len(self.keys.root) :] for key in self.bucket.keys(self.keys.root + folder)}

    def staged(self) -> list[str]:
        """What is staged for this model, and did not appear."""
        return [key for key, _, _ in self.bucket.unfinished(self.keys.root)]

    def body(self, name: str) -> bytes:
        """An object of the model's folder."""
        found = self.bucket.read(self.keys.root + name)
        assert found is not None
        return found[0]


@pytest.fixture
def site(bucket: Bucket, keys: ModelKeys, tmp_path: Path) -> Site:
    return Site(bucket, keys, tmp_path)


WHOLE = {"config.pbtxt", "1/model.onnx", "1/metadata.json"}


def test_two_versions(site: Site) -> None:
    first, second = models.conv_net(1), models.conv_net(2)
    assert site.claim(first) == 1
    assert site.publish(first) == f"s3://{site.bucket.name}/models/{site.keys.model}/1/"
    assert site.claim(second, "workflow-2") == 2
    site.publish(second, 2, "workflow-2")
    assert site.objects() == WHOLE | {"2/model.onnx", "2/metadata.json"}
    assert (site.body("1/model.onnx"), site.body("2/model.onnx")) == (first, second)
    assert json.loads(site.body("2/metadata.json"))["triton"]["version"] == "2"
    assert site.staged() == []


def test_a_second_run_changes_nothing(site: Site) -> None:
    model = models.conv_net()
    site.claim(model)
    uri = site.publish(model)
    before = {key: site.bucket.head(site.keys.root + key) for key in site.objects()}
    assert site.publish(model) == uri
    assert {key: site.bucket.head(site.keys.root + key) for key in site.objects()} == before
    assert site.publish(model, owner="someone-else") == uri  # same bytes: a forced re-deployment


@pytest.mark.parametrize("missing", ["1/metadata.json", "1/model.onnx"])
def test_a_run_that_was_killed_half_way_is_finished(site: Site, missing: str) -> None:
    model = models.conv_net()
    site.claim(model)
    site.publish(model)
    site.bucket.client.delete_object(Bucket=site.bucket.name, Key=site.keys.root + missing)
    site.publish(model)
    assert site.objects() == WHOLE


def test_a_published_version_is_never_replaced(site: Site) -> None:
    model = models.conv_net(1)
    site.claim(model)
    site.publish(model)
    with pytest.raises(StepError, match=r"version 1 .* is published with other bytes .*immutable"):
        site.publish(models.conv_net(2))
    assert site.body("1/model.onnx") == model


def test_bytes_that_somebody_put_there_by_hand_are_found_out(site: Site) -> None:
    site.claim(models.conv_net(1))
    site.bucket.write_if_absent(site.keys.version(1) + "model.onnx", models.conv_net(2))
    with pytest.raises(StepError, match="is published with other bytes"):
        site.publish(models.conv_net(1))


@pytest.mark.parametrize(
    ("owner", "claimed", "message"),
    [
        (None, b"", "is not claimed: run determine-version first"),
        ("other", models.conv_net(), "is claimed by other, not by workflow-1"),
        ("workflow-1", models.conv_net(5), "is claimed for another model file"),
    ],
)
def test_only_the_claims_owner_publishes(site: Site, owner: str | None, claimed: bytes, message: str) -> None:
    if owner is not None:
        site.claim(claimed, owner)
    with pytest.raises(StepError, match=message):
        site.publish(models.conv_net())
    assert site.objects() == set()
    assert site.staged() == []


def test_a_tuned_config_is_kept(site: Site) -> None:
    model = models.conv_net()
    site.claim(model)
    site.publish(model)
    tuned = site.body("config.pbtxt").replace(b"count: 1", b"count: 2")
    site.bucket.client.put_object(Bucket=site.bucket.name, Key=site.keys.config, Body=tuned)
    second = models.conv_net(2)
    site.claim(second, "workflow-2")
    site.publish(second, 2, "workflow-2")
    assert site.body("config.pbtxt") == tuned


def test_another_signature_is_refused_before_anything_is_uploaded(site: Site) -> None:
    model, larger = models.conv_net(), models.conv_net(size=16)
    site.claim(model)
    site.publish(model)
    site.claim(larger, "workflow-2")
    with pytest.raises(StepError, match=r"does not fit .* it has input TYPE_FP32 \[3, 16, 16\]"):
        site.publish(larger, 2, "workflow-2")
    assert site.objects() == WHOLE
    assert site.staged() == []


def test_staging_is_cleared_when_publishing_fails(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.conv_net()
    site.claim(model)
    seen: list[str] = []

    def fail(self: Pending) -> bool:
        seen.extend(site.staged())
        raise StepError("S3 went away")

    with monkeypatch.context() as patch:
        patch.setattr(Pending, "appear", fail)
        with pytest.raises(StepError, match="S3 went away"):
            site.publish(model)
    assert [key.rpartition("/")[2] for key in seen] == ["model.onnx"]
    assert site.staged() == []
    assert not site.objects("1/")
    site.publish(model)
    assert site.objects() == WHOLE


def test_no_reader_sees_a_version_without_its_model(site: Site) -> None:
    model = models.conv_net(classes=200_000)  # some MB, so that a partial one would be seen
    site.claim(model)
    done, seen = threading.Event(), []

    def watch() -> None:
        while not done.wait(0.01):
            if keys := site.objects("1/"):
                info = site.bucket.head(site.keys.version(1) + "model.onnx")
                seen.append((keys, info.size if info else 0))

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        site.publish(model)
    finally:
        done.set()
        reader.join()
    assert all("1/model.onnx" in keys and size == len(model) for keys, size in seen)


# --------------------------------------------------------------------------------- models of several files


def _large(site: Site, folder: Path) -> Artifacts:
    """A prepared version whose model kept its weights in a file of its own, as one above 2 GiB does."""
    folder.mkdir()
    models.with_external_data(folder)
    files = {name: LocalFile(folder / name, fingerprint(folder / name)) for name in ("weights", "model.onnx")}
    checksums = {name: file.printed.sha256 for name, file in files.items()}
    data = {"name": "weights", "size": files["weights"].printed.size, "sha256": checksums["weights"]}
    facts = ModelFacts("onnx", 0.0, checksums["model.onnx"], (), (), (data,))
    origin = MlflowOrigin(site.keys.model, "1", "run", "alias:deploy", "export")
    Metadata(origin, None, facts, ValidationFacts(None, None, None)).write(folder / "known.json")
    pack(folder / "model.onnx", ["weights"], folder / "bundle")
    made = folder / "artifacts"
    made.mkdir()
    lay_out(made, folder / "bundle", folder / "known.json", site.keys.model, 1, "test")
    return read_artifacts(made, 1)


def _claimed(site: Site, artifacts: Artifacts) -> Publication:
    assert claim_next(site.bucket, site.keys, Claim("workflow-1", "1", artifacts.model_sha256)) == 1
    return Publication(site.bucket, site.keys, 1, "workflow-1")


def test_the_data_files_are_there_before_the_model(site: Site, triton: Triton, tmp_path: Path) -> None:
    artifacts = _large(site, tmp_path / "large")
    assert list(artifacts.files) == ["weights", "model.onnx", "metadata.json"]
    place, done, seen = _claimed(site, artifacts), threading.Event(), set()

    def watch() -> None:
        while not done.wait(0.01):
            seen.add(frozenset(site.objects("1/")))

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        publish(place, artifacts)
    finally:
        done.set()
        reader.join()
    assert all("1/weights" in keys for keys in seen if "1/model.onnx" in keys)
    assert site.objects() == WHOLE | {"1/weights"}
    assert published_sha256(site.bucket, site.keys, 1) == artifacts.model_sha256
    publish(place, artifacts)  # a second run finds it published
    triton.load(site.keys.model, 60, config_of_a_load(site.keys.model, 1, size=16))
    image = np.ones((1, 3, 16, 16), np.float32)
    assert triton.infer(site.keys.model, 1, {"input": image})["output"].shape == (1, 10)


def test_a_version_whose_data_files_alone_are_there_harms_no_load(
    site: Site, triton: Triton, tmp_path: Path
) -> None:
    """What publishing.py tells of Triton: a folder without model.onnx is no matter, unless it is named."""
    model = models.conv_net()
    site.claim(model)
    site.publish(model)
    site.bucket.write_if_absent(site.keys.version(2) + "weights", b"half of a version")
    triton.load(site.keys.model, 60, config_of_a_load(site.keys.model, 1))
    assert triton.version_ready(site.keys.model, 1)
    with pytest.raises(TritonRefused, match="version 2 is at UNAVAILABLE state"):
        triton.load(site.keys.model, 60, config_of_a_load(site.keys.model, 1, 2))
    assert triton.version_ready(site.keys.model, 1)
    assert published_sha256(site.bucket, site.keys, 2) is None


def test_data_files_of_a_run_that_was_killed_are_not_mixed_with_others(site: Site, tmp_path: Path) -> None:
    site.bucket.write_if_absent(site.keys.version(1) + "weights", b"of another model")
    artifacts = _large(site, tmp_path / "large")
    # The folder counts as a version, so that nobody is given its number: its owner claims it by name.
    assert claim_forced(site.bucket, site.keys, 1, Claim("workflow-1", "1", artifacts.model_sha256)) == 1
    publish(Publication(site.bucket, site.keys, 1, "workflow-1"), artifacts)
    assert published_sha256(site.bucket, site.keys, 1) == artifacts.model_sha256


def test_one_damaged_data_file_and_nothing_is_published(site: Site, tmp_path: Path) -> None:
    artifacts = _large(site, tmp_path / "large")
    place = _claimed(site, artifacts)
    path = artifacts.files["weights"].path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(StepError, match="changed since they were read"):
        publish(place, artifacts)
    assert site.objects("1/") == set()
    assert site.staged() == []


def test_metadata_of_another_model_is_written_anew(site: Site) -> None:
    model = models.conv_net()
    site.claim(model)
    key = site.keys.version(1) + "metadata.json"
    site.publish(model)
    site.bucket.client.put_object(Bucket=site.bucket.name, Key=key, Body=b'{"model": {"sha256": "other"}}')
    site.publish(model)
    assert json.loads(site.body("1/metadata.json"))["mlflow"]["model_name"] == site.keys.model


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "model.onnx", "a\nb", ""])
def test_metadata_that_names_hostile_files(tmp_path: Path, name: str) -> None:
    made = prepared(tmp_path / "one", "net", 1, models.conv_net())
    path = made / "1" / "metadata.json"
    known = json.loads(path.read_text())
    known["model"]["data_files"] = [{"name": name, "size": 1, "sha256": "ab"}]
    path.write_text(json.dumps(known))
    with pytest.raises(StepError, match="no plain file name") as caught:
        read_artifacts(made, 1)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------ between the steps


def test_a_model_damaged_between_the_steps(tmp_path: Path) -> None:
    made = prepared(tmp_path / "one", "net", 1, models.conv_net())
    (made / "1" / "model.onnx").unlink()
    (made / "1" / "model.onnx").write_bytes(models.conv_net()[:-1])
    with pytest.raises(StepError, match="it was damaged on its way between the steps"):
        read_artifacts(made, 1)


@pytest.mark.parametrize("change", ["extra", "missing", "version"])
def test_artifacts_are_exactly_one_version(tmp_path: Path, change: str) -> None:
    made = prepared(tmp_path / "one", "net", 1, models.conv_net())
    if change == "extra":
        (made / "1" / "run.sh").write_text("")
    elif change == "missing":
        (made / "config.pbtxt").unlink()
    with pytest.raises(StepError, match="needs exactly"):
        read_artifacts(made, 2 if change == "version" else 1)


def test_the_metadata_of_another_model(tmp_path: Path) -> None:
    made = prepared(tmp_path / "one", "net", 1, models.conv_net())
    (tmp_path / "two").mkdir()
    with pytest.raises(StepError, match="the metadata is that of model 'net', model_name is 'other'"):
        lay_out(tmp_path / "two", made / "1" / "model.onnx", made / "1" / "metadata.json", "other", 1, "test")
