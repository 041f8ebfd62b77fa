"""Which versions stay beside a new one, and that only one step at a time decides it: on the real servers."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.versions import amend_record
from argosy.components.deployment.swap import served_versions, sole
from argosy.components.deployment.swap.served_versions import Registered, Serving, registered
from argosy.components.deployment.swap.serving import serve_exactly
from argosy.components.deployment.swap.sole import Hold, Place
from argosy.components.shared import registry
from argosy.components.shared.lease import Holder
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import StepError
from tests.components.deployment import models
from tests.components.deployment.configuring import published_config
from tests.components.deployment.conftest import claim_for

NOBODY = Registered(None, None)


@pytest.fixture
def place(bucket: Bucket, keys: ModelKeys, triton: Triton, tmp_path: Path) -> Place:
    """A model with five published versions, of which 1, 2 and 4 are served."""
    published_config(bucket, keys, tmp_path)
    for version in range(1, 6):
        bucket.write_if_absent(keys.version(version) + "model.onnx", models.conv_net(version))
    made = Place(triton, bucket, keys)
    with sole.sole(made, "test", Deadline.after(60)) as hold:
        serve_exactly(hold, [1, 2, 4], Deadline.after(60))
    return made


def beside(place: Place, version: int, known: Registered) -> set[int]:
    return set(Serving.look(place, Deadline.after(10)).beside(version, known))


def test_the_rule(place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert beside(place, 5, Registered(2, 1)) == {1, 2}  # 4 is what a failed deployment left
    assert beside(place, 5, Registered(3, None)) == {3}  # live comes back where it was not served
    assert beside(place, 2, Registered(2, 1)) == {1}
    assert beside(place, 5, NOBODY) == {4}  # somebody put it there by hand
    assert beside(place, 4, NOBODY) == {2}

    for claimed in (3, 4):  # 3 is claimed and published, and did not answer yet
        place.bucket.write_if_absent(place.keys.claim(claimed), claim_for(b"").encode())
    assert beside(place, 5, Registered(2, 1)) == {1, 2, 4}
    place.triton.unload(place.model, 30)  # as a restart does; config.pbtxt remembers
    assert beside(place, 5, Registered(2, 1)) == {1, 2, 4}
    owner = claim_for(b"").owner
    amend_record(place.bucket, place.keys, 4, verification={"result": "passed", "workflow": owner})
    assert beside(place, 5, Registered(2, 1)) == {1, 2, 4}  # its aliases may not have moved yet
    amend_record(place.bucket, place.keys, 4, aliases={"live": "4", "workflow": "of-an-earlier-deployment"})
    assert beside(place, 5, Registered(2, 1)) == {1, 2, 4}
    amend_record(place.bucket, place.keys, 4, aliases={"live": "4", "workflow": owner})
    assert beside(place, 5, Registered(2, 1)) == {1, 2}
    place.bucket.delete(place.keys.record(4))
    monkeypatch.setattr(served_versions, "IN_FLIGHT_SECONDS", -1)
    assert beside(place, 5, Registered(2, 1)) == {1, 2}

    place.bucket.delete_below(place.keys.version(1))
    assert beside(place, 5, Registered(2, 1)) == {2}
    assert "[1] of" in caplog.text
    assert "are gone from bucket" in caplog.text


def test_what_the_registry_knows(
    client: MlflowClient, name: str, register: Callable[[bytes], str], triton: Triton
) -> None:
    assert registered(client, name) == NOBODY
    for alias, tag in (("previous", "3"), ("live", "17")):
        version = register(models.conv_net())
        registry.set_version_tags(client, name, version, {"triton.version": tag})
        registry.set_alias(client, name, alias, version)
    assert registered(client, name) == Registered(17, 3)
    registry.set_version_tags(client, name, version, {"triton.version": "no number"})
    assert registered(client, name) == Registered(None, 3)


@pytest.fixture
def anywhere(bucket: Bucket, keys: ModelKeys, triton: Triton) -> Place:
    """A model that nobody serves."""
    return Place(triton, bucket, keys)


def test_one_at_a_time(anywhere: Place) -> None:
    inside = threading.Lock()

    def enter(owner: str) -> None:
        with sole.sole(anywhere, owner, Deadline.after(30)):
            assert inside.acquire(blocking=False)
            inside.release()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, "abcd"))


def test_a_dead_holder_delays_others_and_not_its_own_second_run(anywhere: Place) -> None:
    key = anywhere.keys.lock("serving")
    anywhere.bucket.write_if_absent(key, Holder("workflow-1", "token", 3600).encode())
    with (
        pytest.raises(StepError, match=r"serving\.json is not free after 0 s: workflow-1 took it"),
        sole.sole(anywhere, "workflow-2", Deadline.after(0.1)),
    ):
        pass
    with sole.sole(anywhere, "workflow-1", Deadline.after(5)):
        pass


def test_it_is_kept_for_as_long_as_it_is_needed(anywhere: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sole, "_RENEW_EVERY", 0.05)
    key, renewed = anywhere.keys.lock("serving"), threading.Event()
    with sole.sole(anywhere, "workflow-1", Deadline.after(5)) as hold:
        first = hold.lease.etag
        while hold.lease.etag == first:
            renewed.wait(0.05)
        taken_over(hold, key)
        with pytest.raises(StepError, match="taken over by another"):
            hold.renew()
    found = anywhere.bucket.read(key)
    assert found
    assert json.loads(found[0])["owner"] == "workflow-2"  # ours is not the one to release any more


def taken_over(hold: Hold, key: str) -> None:
    """What another step does to a lease that it holds for abandoned."""
    bucket = hold.place.bucket
    with hold.lock:
        found = bucket.read(key)
        assert found
        assert bucket.write_if_unchanged(key, Holder("workflow-2", "token", 60).encode(), found[1])
