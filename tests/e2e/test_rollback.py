"""A deployment that fails its verification rolls itself back under traffic; then by hand, there and back.

The tests of this file tell one story and run in order: each starts from what the one before left behind.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
import requests
from mlflow import MlflowClient
from onnx import numpy_helper

from argosy.components.shared import registry as shared_registry
from argosy.stack import Stack
from tests.components.deployment.models import conv_net
from tests.components.deployment.registering import register_model
from tests.conftest import quick_loads
from tests.e2e.conftest import Argosy, Done, argosy_in

pytestmark = pytest.mark.story

MODEL = "rolled-back-onnx"
SIZE = 32
IMAGE = np.random.default_rng(5).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)


@dataclass
class Clients:
    """Somebody who uses the model all the time, and names no version."""

    url: str
    over: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    answered: int = 0

    def ask(self) -> np.ndarray:
        tensor = {
            "name": "input",
            "shape": list(IMAGE.shape),
            "datatype": "FP32",
            "data": IMAGE.ravel().tolist(),
        }
        answer = requests.post(f"{self.url}/v2/models/{MODEL}/infer", json={"inputs": [tensor]}, timeout=30)
        answer.raise_for_status()
        return np.array(answer.json()["outputs"][0]["data"], np.float32)

    def use(self) -> None:
        while not self.over.wait(0.05):
            try:
                self.ask()
                self.answered += 1
            except requests.RequestException as error:
                self.failures.append(str(error))


def not_finite() -> bytes:
    """A model with the signature of the others, which loads, and answers with no numbers."""
    model = onnx.load_from_string(conv_net(2, size=SIZE))
    for tensor in model.graph.initializer:
        if tensor.name == "linear":
            broken = np.full_like(numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(numpy_helper.from_array(broken, "linear"))
    return bytes(model.SerializeToString())


def deploy(argosy: Argosy, *args: str) -> Done:
    names = ("-p", f"model-name={MODEL}", "--output", "json")
    return argosy("run", "deploy-model-image-classification", *names, *args)


def aliases(registry: MlflowClient) -> dict[str, str]:
    return {name: str(version) for name, version in registry.get_registered_model(MODEL).aliases.items()}


def ready(endpoints: dict[str, Any]) -> set[str]:
    found = requests.post(f"{endpoints['triton']['http']}/v2/repository/index", json={}, timeout=30).json()
    return {m["version"] for m in found if m["name"] == MODEL and m.get("state") == "READY"}


def record(bucket: Any, version: int) -> dict[str, Any]:
    body = bucket.Object(f"deployments/{MODEL}/{version}.json").get()["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.fixture(scope="module")
def argosy(shared_stack: Stack) -> Argosy:
    """Runs `argosy ARGS` on the stack that is up already."""
    with quick_loads():
        return argosy_in(shared_stack.state_dir)


@pytest.fixture(scope="module")
def clients(endpoints: dict[str, Any]) -> Iterator[Clients]:
    """Users of the model, from its first deployment to the end of the story."""
    clients = Clients(endpoints["triton"]["http"])
    yield clients
    clients.over.set()


@pytest.fixture(scope="module")
def put(endpoints: dict[str, Any]) -> Any:
    """Registers a model's bytes with alias `deploy`."""
    client = shared_registry.connect(endpoints["mlflow"])
    return lambda model: register_model(client, MODEL, model)


def test_a_good_version_goes_live(
    argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any], clients: Clients, put: Any
) -> None:
    put(conv_net(1, size=SIZE))
    done = deploy(argosy)
    assert (done.code, done.document["phase"]) == (0, "Succeeded"), done.stderr
    assert {done.phases()[name] for name in ("onExit.rollback", "onExit.rollback-on-error")} == {"Skipped"}
    assert aliases(registry) == {"deploy": "1", "live": "1"}
    threading.Thread(target=clients.use, daemon=True).start()


def test_a_version_that_fails_its_verification_is_rolled_back(
    argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any], bucket: Any, clients: Clients, put: Any
) -> None:
    before = clients.ask()
    put(not_finite())
    done = deploy(argosy)
    assert (done.code, done.document["phase"]) == (1, "Failed")
    phases = done.phases()
    assert (phases["update-aliases"], phases["verify-deployment"]) == ("Succeeded", "Failed")
    assert (phases["onExit.rollback"], phases["onExit.rollback-on-error"]) == ("Succeeded", "Skipped")
    assert done.outputs("update-aliases") == {"live": "2", "previous": "1"}
    outputs = {"live": "1", "triton-version": "1", "result": "rolled-back"}
    assert done.outputs("onExit.rollback") == outputs

    assert aliases(registry) == {"deploy": "2", "live": "1"}
    assert ready(endpoints) == {"1"}
    np.testing.assert_allclose(clients.ask(), before, atol=1e-5)
    found, tags = record(bucket, 2), registry.get_model_version(MODEL, "2").tags
    assert found["mlflow"]["version"] == "2"
    assert found["verification"]["result"] == tags["verification.result"] == "failed"
    assert (found["rollback"]["to"], found["rollback"]["workflow"]) == ("1", tags["triton.rolled_back_by"])
    for reason in (found["rollback"]["reason"], tags["triton.rolled_back_because"]):
        assert "Failed: output 'output' has 10 of 10 numbers that are not finite" in reason


def test_a_workflow_that_published_nothing_has_nothing_to_roll_back(
    argosy: Argosy, registry: MlflowClient
) -> None:
    done = deploy(argosy, "-p", "source=version:99")
    assert (done.code, done.document["phase"]) == (1, "Failed")
    assert done.phases()["onExit.rollback"] == "Succeeded"
    assert done.outputs("onExit.rollback")["result"] == "nothing-to-do"
    assert aliases(registry) == {"deploy": "2", "live": "1"}


def test_by_hand_to_previous_and_back(
    argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any], bucket: Any, clients: Clients, put: Any
) -> None:
    answers = {"1": clients.ask()}
    put(conv_net(3, size=SIZE))
    assert deploy(argosy).code == 0
    answers["3"] = clients.ask()
    assert aliases(registry) == {"deploy": "3", "live": "3", "previous": "1"}

    for live, previous, reason in (("1", "3", "too slow"), ("3", "1", "fast again")):
        done = argosy(
            *("run", "rollback-model", "-p", f"model-name={MODEL}", "-p", f"reason={reason}"),
            *("--output", "json"),
        )
        assert (done.code, done.document["phase"]) == (0, "Succeeded"), done.stderr
        assert aliases(registry) == {"deploy": "3", "live": live, "previous": previous}
        np.testing.assert_allclose(clients.ask(), answers[live], atol=1e-5)
        assert record(bucket, int(previous))["rollback"]["reason"] == reason
    assert clients.answered > 10
    assert clients.failures == []
