"""The step that archives after a deployment, and what it must not disturb: clients, rollbacks, each other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import archive_versions, determine_version, sync_triton, upload_to_s3
from argosy.components.deployment.archive_versions import Archived
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.archive import bring_back
from argosy.components.deployment.repository.versions import (
    amend_record,
    files_of_versions,
    folder_of,
    published_versions,
)
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.errors import StepError, UsageError
from argosy.stack import Stack
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers, claim_for, prepared
from tests.components.deployment.fleet import Fleet
from tests.faults.workflow import Workflow
from tests.kills import KILLS, moments

NOBODY = {"mlflow_tracking_uri": "http://127.0.0.1:9"}


@pytest.fixture
def fleet(
    servers: Servers, client: MlflowClient, bucket: Bucket, keys: ModelKeys, triton: Triton, tmp_path: Path
) -> Fleet:
    return Fleet(servers, client, Place(triton, bucket, keys), tmp_path)


def archive(fleet: Fleet, keep: int = 1, **given: Any) -> Archived:
    where = {key: value for key, value in fleet.where().items() if key != "triton_url"}
    return archive_versions(**{**where, "keep": keep, **given})


def deploy(fleet: Fleet, *owners: str) -> None:
    """Deployments that are over; the verification's word for it is enough."""
    for owner in owners:
        amend_record(fleet.bucket, fleet.keys, fleet.deploy(owner), verification={"workflow": owner})


def places(fleet: Fleet) -> tuple[set[int], set[int]]:
    """The versions in the repository, and those in the archive."""
    return published_versions(fleet.bucket, fleet.keys), set(
        files_of_versions(fleet.bucket, fleet.keys.archive)
    )


def test_back_to_an_archived_version_and_on_from_there(fleet: Fleet) -> None:
    deploy(fleet, "one", "two", "three", "four")
    # The last load named what was live and previous before it.
    assert fleet.named() == {2, 3, 4}
    assert archive(fleet, owner="four", dry_run=True) == ([1], "archived")
    assert places(fleet) == ({1, 2, 3, 4}, set())
    assert archive(fleet, owner="four") == ([1], "archived")
    assert archive(fleet, owner="four") == ([], "nothing-to-do")
    assert places(fleet) == ({2, 3, 4}, {1})
    noted = fleet.record(4)["archive"]
    assert (noted["result"], noted["versions"], noted["workflow"]) == ("archived", [1], "four")

    # A replica that is started now finds what it is to serve.
    fleet.triton.unload(fleet.name, 30)
    sync_triton(**fleet.where(), triton_grpc_url=fleet.servers.triton_grpc)
    assert (fleet.ready(), fleet.answers_as(4)) == ({2, 3, 4}, True)

    assert fleet.rollback(to="version:1", reason="slow") == ("1", 1, "rolled-back")
    assert fleet.answers_as(1)
    assert (fleet.aliases(), places(fleet)) == (("1", "4"), ({1, 2, 3, 4}, set()))
    assert archive(fleet, owner="four") == ([2, 3], "archived")
    assert places(fleet) == ({1, 4}, {2, 3})
    deploy(fleet, "five")
    assert fleet.answers_as(5)
    assert fleet.aliases() == ("5", "1")


def test_a_retried_workflow_whose_version_was_archived(fleet: Fleet) -> None:
    deploy(fleet, "one", "two")
    fleet.rollback(owner="two")
    assert archive(fleet) == ([], "nothing-to-do")  # the newest
    deploy(fleet, "three")
    assert archive(fleet) == ([2], "archived")
    fleet.serve("two", 2)
    assert places(fleet) == ({1, 2, 3}, set())
    assert 2 in fleet.ready()


def test_an_archived_version_is_deployed_again(fleet: Fleet, tmp_path: Path) -> None:
    for owner in ("one", "two", "three"):
        end = {"workflow": owner}
        amend_record(fleet.bucket, fleet.keys, fleet.publish(owner), aliases=end, verification=end)
    assert archive(fleet).archived == [1, 2]
    model = models.conv_net(1)
    inputs = {"owner": "again", "model_name": fleet.name, "s3_bucket": fleet.servers.bucket}
    sha256 = claim_for(model).model_sha256
    determine_version(model_version="1", model_sha256=sha256, force_version=1, **inputs)
    folder = prepared(tmp_path / "again", fleet.name, 1, model)
    upload_to_s3(artifacts=folder, triton_version=1, force_version=1, **inputs)
    assert places(fleet) == ({1, 3}, {2})
    # Under way now, whoever asks.
    assert archive(fleet) == ([], "nothing-to-do")


def test_a_failure_is_told_and_the_deployment_stands(
    fleet: Fleet, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    deploy(fleet, "one", "two")
    assert archive(fleet, owner="two", **NOBODY) == ([], "not-archived")
    assert "the deployment stands, and old versions are not archived" in caplog.text
    noted = fleet.record(2)["archive"]
    assert (noted["result"], "does not answer" in noted["reason"]) == ("not-archived", True)
    assert archive(fleet, owner="two", s3_bucket="no-such-bucket") == ([], "not-archived")
    assert archive(fleet, keep=-1, owner="two") == ([], "not-archived")
    assert fleet.record(2)["archive"]["reason"] == "keep -1 is not a number of versions, or 0 for all"
    for broken in (NOBODY, {"s3_bucket": "no-such-bucket"}):
        with pytest.raises(StepError, match=r"does not answer|no such bucket"):
            archive(fleet, **broken)
    assert (places(fleet), fleet.aliases()) == (({1, 2}, set()), ("2", "1"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keep": -1}, "keep -1 is not a number of versions, or 0 for all"),
        ({"model_name": "../x"}, "cannot be part of a key"),
        ({"owner": "a/b"}, "owner 'a/b' cannot be part of a key"),
        ({"s3_prefix": "archive"}, "are kept for other things"),
    ],
)
def test_bad_values_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        archive_versions(**given)


def test_a_workflow_that_published_nothing(fleet: Fleet) -> None:
    assert archive(fleet, owner="a gate said no".replace(" ", "-")) == ([], "nothing-to-do")


def test_archiving_while_another_goes_back_and_a_third_deploys(fleet: Fleet) -> None:
    deploy(fleet, "one", "two", "three", "four")
    newest = fleet.publish("newest")
    fleet.answers[1] = fleet.answers.get(1, fleet.answer(2))
    together = threading.Barrier(4)

    def at_once(call: Any) -> Any:
        together.wait()
        return call()

    calls = (
        lambda: archive(fleet, owner="four"),
        lambda: archive(fleet, owner="three"),
        lambda: fleet.rollback(to="version:1"),
        lambda: fleet.serve("newest", newest),
    )
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(at_once, call) for call in calls]:
            done.result()
    assert fleet.aliases() == ("1", "4")
    assert {1, newest} <= fleet.ready() <= places(fleet)[0]
    for version in range(1, newest + 1):
        assert folder_of(fleet.bucket, fleet.keys, version) is not None


def test_killed_steps_lose_nothing_and_are_finished_by_their_next_run(
    fleet: Fleet, shared_stack: Stack, tmp_path: Path
) -> None:
    deploy(fleet, "one", "two", "three", "four")
    where = {**fleet.where(), "owner": "", "request": "back", "keep": 1, "to": "version:1"}
    steps = Workflow(tmp_path / "steps", where, shared_stack.environment())
    bytes_of = {version: _model(fleet, version) for version in (1, 2, 3, 4)}
    for step, there in (("archive_versions", True), ("rollback", False)):
        chances, longest, killed = moments(step), 0.5, 0
        while killed < KILLS:
            ran = steps.run(step, kill_after=chances.uniform(0, longest))
            assert ran.code in (0, -9), ran.log
            assert {version: _model(fleet, version) for version in (1, 2, 3, 4)} == bytes_of
            assert fleet.answers_as(4) or fleet.answers_as(1)
            killed += ran.code == -9
            longest = min(longest, 1.1 * ran.seconds) if ran.code == 0 else 1.1 * longest
            if ran.code == 0 and there:
                bring_back(fleet.bucket, fleet.keys, 1, "test")
            elif ran.code == 0:
                break
        ran = steps.run(step)
        assert ran.code == 0, ran.log
        assert places(fleet) == (({2, 3, 4}, {1}) if there else ({1, 2, 3, 4}, set()))
    assert {version: _model(fleet, version) for version in (1, 2, 3, 4)} == bytes_of
    assert (fleet.aliases(), fleet.answers_as(1)) == (("1", "4"), True)


def _model(fleet: Fleet, version: int) -> bytes:
    """A version's bytes, wherever it lies."""
    folder = folder_of(fleet.bucket, fleet.keys, version)
    assert folder is not None, version
    found = fleet.bucket.read(f"{folder}model.onnx")
    assert found is not None, version
    assert fleet.bucket.read(f"{folder}metadata.json") is not None, version
    return found[0]
