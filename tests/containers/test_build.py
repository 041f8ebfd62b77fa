"""Really build both images with podman, and run steps and a pipeline in them. Opt-in: it is slow.

    ARGOSY_TEST_CONTAINERS=1 python -m pytest tests/containers/test_build.py

Needs podman and mmdebstrap, and reaches Debian's and Python's package indexes; it needs no image registry.
ARGOSY_TEST_CONTAINERS may also name one image, to build only that.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy import __version__
from argosy.components.images import DEPLOYMENT_TOOLS
from argosy.components.shared.registry import connect
from argosy.stack import Stack
from tests.components.deployment.models import conv_net
from tests.components.deployment.registering import register_model
from tests.containers.engine import Engine, EngineError
from tests.containers.pip_settings import PipSettings
from tests.e2e.conftest import argosy_in

WANTED = os.environ.get("ARGOSY_TEST_CONTAINERS", "")
STEPS = {
    "mlops-deployment-tools": "argosy.components.deployment.determine_version",
    "triton-training-tools": "argosy.components.training.promote",
}
HEAVY = {
    "mlops-deployment-tools": "boto3, mlflow.onnx, onnx, onnxruntime, requests, tritonclient.grpc",
    "triton-training-tools": "boto3, mlflow.pytorch, onnx, onnxruntime, onnxscript, PIL, torch",
}

pytestmark = [
    pytest.mark.skipif(not WANTED, reason="ARGOSY_TEST_CONTAINERS is not set"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Podman on an empty store that holds the base image alone, removed at the end."""
    engine = Engine.start(tmp_path_factory.mktemp("podman") / "store", dict(os.environ))
    try:
        engine.make_base_image()
        yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="module", params=sorted(STEPS))
def image(request: pytest.FixtureRequest, engine: Engine, repository: Path) -> str:
    """The name of an image that was just built."""
    name: str = request.param
    if WANTED in STEPS and name != WANTED:
        pytest.skip(f"ARGOSY_TEST_CONTAINERS names {WANTED}")
    engine.build(repository, name, PipSettings.of_this_machine(), VERSION=__version__, REVISION="0" * 40)
    return name


def test_a_step_tells_its_interface(engine: Engine, image: str) -> None:
    answer = engine.run(image, "python", "-m", STEPS[image], "--help")
    assert "usage:" in answer and "--model-name" in answer


def test_a_step_refuses_a_missing_value_in_one_line(engine: Engine, image: str) -> None:
    with pytest.raises(EngineError, match=r"exited with 2:\n.*--(run-id|model-version)"):
        engine.run(image, "python", "-m", STEPS[image])


def test_what_the_steps_import_loads_on_a_read_only_root(engine: Engine, image: str) -> None:
    answer = engine.run(image, "python", "-c", f"import {HEAVY[image]}; print('loaded')")
    assert answer.splitlines()[-1] == "loaded"


def test_the_deployment_pipeline_passes_in_it(
    engine: Engine, image: str, shared_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    if image not in DEPLOYMENT_TOOLS:
        pytest.skip("it deploys nothing")
    engine.podman("tag", image, DEPLOYMENT_TOOLS)
    for name in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"):
        monkeypatch.setenv(name, engine.environment[name])
    client = connect(shared_stack.endpoints().mlflow)
    register_model(client, "in-containers-onnx", conv_net(1, size=32))
    words = ["deploy-model-image-classification", "--runner", "podman", "--output", "json"]
    done = argosy_in(shared_stack.state_dir)("run", *words, "-p", "model-name=in-containers-onnx")
    assert (done.code, done.document["phase"]) == (0, "Succeeded"), done.stderr
    assert client.get_registered_model("in-containers-onnx").aliases == {"deploy": "1", "live": "1"}
    assert engine.podman("ps", "--all", "--quiet") == ""


def test_the_image_says_what_it_is(engine: Engine, image: str) -> None:
    config = json.loads(engine.podman("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert not config.get("Entrypoint")
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
