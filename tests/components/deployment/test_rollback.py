"""Undoing a failed workflow, and going back by hand, on the real servers."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.aliases import recovery
from argosy.components.deployment.aliases.moves import AliasTable, held_aliases
from argosy.components.deployment.aliases.recovery import Site, go_back, roll_back
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import StepError, UsageError
from tests.components.deployment.conftest import Servers
from tests.components.deployment.fleet import Fleet
from tests.components.deployment.mortal import MortalClient, dies

NOBODY = {"triton_url": "http://127.0.0.1:9", "load_timeout": 2}


@pytest.fixture
def fleet(
    servers: Servers, client: MlflowClient, bucket: Bucket, keys: ModelKeys, triton: Triton, tmp_path: Path
) -> Fleet:
    return Fleet(servers, client, Place(triton, bucket, keys), tmp_path)


def test_a_failed_deployment_is_undone_and_may_be_retried(fleet: Fleet) -> None:
    fleet.deploy("good")
    fleet.deploy("failing")
    with pytest.raises(StepError, match="expected_output_shape"):
        fleet.verify("failing", 2, classes=11)
    assert (fleet.aliases(), fleet.ready()) == (("2", "1"), {1, 2})

    for _ in range(2):
        assert fleet.rollback(owner="failing", reason="deploy-x Failed") == ("1", 1, "rolled-back")
        assert fleet.aliases() == ("1", "")
        assert fleet.ready() == fleet.named() == {1}
        assert fleet.answers_as(1)
    record, tags = fleet.record(2), fleet.tags(2)
    assert record["verification"]["result"] == "failed"
    assert (record["rollback"]["workflow"], record["rollback"]["to"]) == ("failing", "1")
    for reason in (record["rollback"]["reason"], tags["triton.rolled_back_because"]):
        assert reason.startswith("deploy-x Failed: output 'output' has shape [1, 10], expected_output_shape")
    assert tags["triton.rolled_back_by"] == "failing"
    assert "rollback" not in fleet.record(1)

    # The workflow is retried under the same uid.
    fleet.serve("failing", 2)
    fleet.go_live("failing", 2)
    fleet.verify("failing", 2)
    assert (fleet.aliases(), fleet.ready()) == (("2", "1"), {1, 2})
    assert "triton.rolled_back_by" not in fleet.tags(2)
    assert fleet.answers_as(2)


def test_nothing_was_done(fleet: Fleet) -> None:
    assert fleet.rollback(owner="stranger") == ("", None, "nothing-to-do")
    fleet.deploy("good")
    assert fleet.rollback(owner="stranger") == ("1", 1, "nothing-to-do")
    assert (fleet.aliases(), fleet.ready()) == (("1", ""), {1})


def test_the_first_deployment_fails_and_nothing_is_served_again(fleet: Fleet) -> None:
    fleet.deploy("first")
    for _ in range(2):
        assert fleet.rollback(owner="first") == ("", None, "rolled-back")
        assert (fleet.aliases(), fleet.ready(), fleet.named()) == (("", ""), set(), set())
    assert fleet.record(1)["rollback"]["to"] == ""


def test_published_and_never_served(fleet: Fleet) -> None:
    fleet.deploy("good")
    fleet.publish("broken")
    broken = fleet.keys.version(2) + "model.onnx"
    fleet.bucket.client.put_object(Bucket=fleet.bucket.name, Key=broken, Body=b"no model")
    with pytest.raises(StepError, match=r"version 2 .* is not in service"):
        fleet.serve("broken", 2)
    assert fleet.rollback(owner="broken", reason="it was refused") == ("1", 1, "rolled-back")
    assert (fleet.aliases(), fleet.ready(), fleet.named()) == (("1", ""), {1}, {1})
    assert fleet.record(2)["rollback"]["reason"] == "it was refused"
    assert fleet.tags(2)["triton.rolled_back_by"] == "broken"


def test_another_workflow_went_live_meanwhile(fleet: Fleet) -> None:
    for owner in ("good", "failing", "newest"):
        fleet.deploy(owner)
    assert fleet.rollback(owner="failing") == ("3", 3, "rolled-back")
    assert (fleet.aliases(), fleet.ready()) == (("3", "1"), {1, 3})
    assert fleet.answers_as(3)


def test_another_workflow_goes_live_while_the_rollback_waits_for_its_turn(fleet: Fleet) -> None:
    for owner in ("good", "failing"):
        fleet.deploy(owner)
    newest = fleet.publish("newest")
    fleet.serve("newest", newest)
    with ThreadPoolExecutor(1) as pool:
        with sole(fleet.place, "anybody", Deadline.after(60)):
            rollback = pool.submit(fleet.rollback, owner="failing")
            while fleet.aliases() != ("1", ""):
                assert not rollback.done()
                time.sleep(0.05)
            fleet.go_live("newest", newest)
            fleet.verify("newest", newest)
        assert rollback.result() == ("1", 1, "rolled-back")
    assert (fleet.aliases(), fleet.ready()) == (("3", "1"), {1, 3})


def test_triton_is_down_and_the_aliases_go_back_still(fleet: Fleet) -> None:
    fleet.deploy("good")
    fleet.deploy("failing")
    remains = (
        r"aliases .* are back \(live 1, previous none\); what remains .* version 1 without 2.*run the step"
    )
    with pytest.raises(StepError, match=remains):
        fleet.rollback(owner="failing", **NOBODY)
    assert fleet.aliases() == ("1", "")
    assert fleet.record(2)["rollback"]["to"] == "1"
    assert fleet.ready() == {1, 2}
    assert fleet.rollback(owner="failing") == ("1", 1, "rolled-back")
    assert fleet.ready() == {1}


def test_by_hand_to_previous_and_back_without_a_gap(fleet: Fleet) -> None:
    fleet.deploy("first")
    fleet.deploy("second")
    over, answered = threading.Event(), []

    def use() -> None:
        while not over.wait(0.01):
            answered.append(fleet.answers_as(1) or fleet.answers_as(2))

    with ThreadPoolExecutor(1) as pool:
        user = pool.submit(use)
        try:
            for _ in range(2):  # the second run is a retry of the first
                assert fleet.rollback(request="r1", reason="slow") == ("1", 1, "rolled-back")
                assert fleet.aliases() == ("1", "2")
                assert fleet.answers_as(1)
            assert fleet.rollback(request="r2") == ("2", 2, "rolled-back")
        finally:
            over.set()
        user.result()
    assert len(answered) > 1
    assert (fleet.aliases(), fleet.ready()) == (("2", "1"), {1, 2})
    assert fleet.answers_as(2)
    assert fleet.record(2)["rollback"] == {**fleet.record(2)["rollback"], "reason": "slow", "to": "1"}
    assert fleet.record(1)["rollback"]["reason"] == "rolled back by hand"
    assert "triton.rolled_back_by" not in fleet.tags(2)


def test_by_hand_to_a_version_that_triton_dropped(fleet: Fleet) -> None:
    for owner in ("first", "second", "third"):
        fleet.deploy(owner)
    fleet.triton.unload(fleet.name, 30)
    assert fleet.rollback(to="version:1") == ("1", 1, "rolled-back")
    assert (fleet.aliases(), fleet.ready()) == (("1", "3"), {1})
    assert fleet.answers_as(1)
    assert fleet.rollback(to="version:1") == ("1", 1, "nothing-to-do")
    assert fleet.aliases() == ("1", "3")


def test_by_hand_while_another_deployment_swaps(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No load comes between the rollback's own and its aliases: it would drop what is not live yet."""
    for owner in ("first", "second", "third"):
        fleet.deploy(owner)
    newest, swapped = fleet.publish("newest"), threading.Event()

    def swap() -> None:
        fleet.serve("newest", newest)
        swapped.set()

    with ThreadPoolExecutor(1) as pool:
        swaps = []

        def aliases_of(*given: Any) -> AbstractContextManager[AliasTable]:
            swaps.append(pool.submit(swap))
            assert not swapped.wait(3)
            return held_aliases(*given)

        monkeypatch.setattr(recovery, "held_aliases", aliases_of)
        assert fleet.rollback(to="version:1") == ("1", 1, "rolled-back")
        swaps[0].result()
    assert (fleet.aliases(), fleet.ready()) == (("1", "3"), {1, 3, newest})


@pytest.mark.parametrize("to", ["", "next", "version:", "version:0", "version:x", "previous\n", "alias:live"])
def test_no_place_to_go_back_to(fleet: Fleet, to: str) -> None:
    with pytest.raises(UsageError, match="is neither 'previous' nor 'version:NUMBER'"):
        fleet.rollback(to=to)


def test_refused_in_one_line_and_nothing_changed(fleet: Fleet) -> None:
    fleet.deploy("first")
    with pytest.raises(StepError, match="no alias 'previous' to go back to"):
        fleet.rollback()
    fleet.deploy("second")
    fleet.client.create_model_version(fleet.name, "s3://nowhere/model", await_creation_for=0)
    with pytest.raises(StepError, match=r"version 3 of .* was never deployed: deploy it again"):
        fleet.rollback(to="version:3")
    with pytest.raises(StepError, match="could not find version 9"):
        fleet.rollback(to="version:9")
    with pytest.raises(StepError, match="does not answer"):
        fleet.rollback(**NOBODY)
    fleet.bucket.delete(fleet.keys.version(1) + "model.onnx")
    with pytest.raises(
        StepError, match=r"was version 1 in Triton, which is no longer in bucket .* deploy it"
    ):
        fleet.rollback()
    assert (fleet.aliases(), fleet.ready()) == (("2", "1"), {1, 2})


def test_killed_anywhere_and_run_again(fleet: Fleet) -> None:
    fleet.deploy("good")
    fleet.publish("failing")
    for writes in itertools.count(0, 3):
        fleet.serve("failing", 2)
        fleet.go_live("failing", 2)
        mortal = MortalClient(fleet.servers.mlflow, fleet.name, writes)
        site = Site(mortal, fleet.place, Deadline.after(60))
        died = dies(mortal, lambda _, at=site: roll_back(at, "failing", "it failed"))
        assert fleet.ready() >= {1}
        assert fleet.rollback(owner="failing") == ("1", 1, "rolled-back")
        assert (fleet.aliases(), fleet.ready()) == (("1", ""), {1})
        if not died:
            break
    assert writes >= 6


def test_by_hand_killed_anywhere_and_run_again(fleet: Fleet) -> None:
    fleet.deploy("first")
    fleet.deploy("second")
    for writes in itertools.count(0, 3):
        request = f"r{writes}"
        mortal = MortalClient(fleet.servers.mlflow, fleet.name, writes)
        site = Site(mortal, fleet.place, Deadline.after(60))
        died = dies(mortal, lambda _, at=site, r=request: go_back(at, "previous", "slow", r))
        assert fleet.ready() >= {1}
        assert fleet.rollback(request=request) == ("1", 1, "rolled-back")
        assert (fleet.aliases(), fleet.ready()) == (("1", "2"), {1})
        assert fleet.rollback(request=f"back{writes}").live == "2"
        if not died:
            break
    assert writes >= 6
