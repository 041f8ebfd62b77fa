"""Gate 3 in the whole deployment: off unless asked for, and a worse version changes nothing.

The tests of this file tell one story and run in order: each starts from what the one before left behind.
"""

import json
from typing import Any

import pytest
from mlflow import MlflowClient

from argosy.components.shared import registry as shared_registry
from argosy.stack import Stack
from tests.components.deployment.models import conv_net
from tests.components.deployment.registering import register_model
from tests.conftest import quick_loads
from tests.e2e.conftest import Argosy, Done, argosy_in

pytestmark = pytest.mark.story

MODEL = "compared-onnx"
SIZE = 32
GATE_3 = ("compare-live", "withdraw-version")
AFTER = ("reload-triton", "update-aliases", "verify-deployment")


@pytest.fixture(scope="module")
def argosy(shared_stack: Stack) -> Argosy:
    """Runs `argosy ARGS` on the stack that is up already."""
    with quick_loads():
        return argosy_in(shared_stack.state_dir)


@pytest.fixture(scope="module")
def recorded(bucket: Any) -> str:
    """The prefix of a recorded request."""
    tensor = {"name": "input", "shape": [1, 3, SIZE, SIZE], "datatype": "FP32", "data": [0.5] * 3 * SIZE**2}
    bucket.Object("requests/compared/1.json").put(Body=json.dumps({"inputs": [tensor]}).encode())
    return f"s3://{bucket.name}/requests/compared"


def deploy(argosy: Argosy, model: bytes, endpoints: dict[str, Any], **given: str) -> Done:
    """Register the model, and deploy it."""
    register_model(shared_registry.connect(endpoints["mlflow"]), MODEL, model)
    # One request says little about speed, and nothing on a machine that runs other tests.
    limits = json.dumps({"max_p50_ratio": 1000, "max_p95_ratio": 1000})
    values = {"model-name": MODEL, "comparison-limits": limits, **given}
    words = [word for name, value in values.items() for word in ("-p", f"{name}={value}")]
    return argosy("run", "deploy-model-image-classification", *words, "--output", "json")


def phases(done: Done, *names: str) -> set[str]:
    found = done.phases()
    return {found[name] for name in names}


def live(registry: MlflowClient) -> str:
    return str(registry.get_registered_model(MODEL).aliases["live"])


def test_it_is_off_by_default(argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any]) -> None:
    done = deploy(argosy, conv_net(1, size=SIZE), endpoints)
    assert done.document["phase"] == "Succeeded", done.stderr
    assert phases(done, *GATE_3) == {"Skipped", "Omitted"}
    assert phases(done, *AFTER) == {"Succeeded"}
    assert live(registry) == "1"


def test_an_equal_version_goes_live(
    argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any], recorded: str
) -> None:
    given = {"compare": "true", "recorded-requests": recorded}
    done = deploy(argosy, conv_net(1, size=SIZE), endpoints, **given)
    assert done.document["phase"] == "Succeeded", done.stderr
    assert done.outputs("compare-live")["result"] == "passed"
    assert phases(done, "withdraw-version") == {"Skipped"}
    assert phases(done, *AFTER) == {"Succeeded"}
    assert live(registry) == "2"


def test_a_worse_version_is_withdrawn_the_rest_skipped_and_the_workflow_succeeds(
    argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any], bucket: Any, recorded: str
) -> None:
    given = {"compare": "true", "recorded-requests": recorded}
    model = conv_net(4, size=SIZE)
    done = deploy(argosy, model, endpoints, **given)
    assert done.document["phase"] == "Succeeded", done.stderr
    assert done.outputs("compare-live")["result"] == "failed"
    assert done.outputs("withdraw-version") == {"withdrawn": "true"}
    assert phases(done, *AFTER) == {"Omitted"}
    assert live(registry) == "2"
    assert list(bucket.objects.filter(Prefix=f"models/{MODEL}/3/")) == []
    assert list(bucket.objects.filter(Prefix=f"models/{MODEL}.candidate-")) == []
    assert registry.get_model_version(MODEL, "3").tags["comparison.result"] == "failed"


def test_a_comparison_that_crashes_fails_the_workflow(
    argosy: Argosy, registry: MlflowClient, endpoints: dict[str, Any]
) -> None:
    done = deploy(argosy, conv_net(1, size=SIZE), endpoints, compare="true")
    assert (done.code, done.document["phase"]) == (1, "Failed")
    assert phases(done, "compare-live") == {"Failed"}
    assert phases(done, "withdraw-version", *AFTER) == {"Omitted"}
    assert phases(done, "onExit.rollback") == {"Succeeded"}
    assert live(registry) == "2"
