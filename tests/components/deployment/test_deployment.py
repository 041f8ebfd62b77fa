"""The seven steps in a row, on the real servers; and how the files behave as programs."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.errors import StepError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers
from tests.components.deployment.deploying import Deployed, Deployment

STEPS = (
    "fetch_model",
    "determine_version",
    "prepare_artifacts",
    "upload_to_s3",
    "reload_triton",
    "update_aliases",
    "verify_deployment",
    "rollback",
    "sync_triton",
    "prune_versions",
)


def same_answers(servers: Servers, name: str, deployed: Deployed) -> bool:
    """Whether Triton answers as ONNX Runtime does on the same file."""
    image = np.random.default_rng(3).standard_normal((4, 3, models.SIZE, models.SIZE)).astype(np.float32)
    served = Triton(servers.triton).infer(name, deployed.triton_version, {"input": image})["output"]
    session = onnxruntime.InferenceSession(deployed.model, providers=["CPUExecutionProvider"])
    return np.allclose(served, session.run(None, {"input": image})[0], atol=1e-6)


def test_two_deployments_and_a_return(
    servers: Servers,
    name: str,
    bucket: Bucket,
    client: MlflowClient,
    register: Callable[[bytes], str],
) -> None:
    deployment = Deployment(servers, name)
    register(models.conv_net(1))
    first = deployment.run("workflow-1")
    assert (first.triton_version, first.live, first.previous) == (1, "1", "")
    assert first.model_uri == f"s3://{servers.bucket}/models/{name}/1/"
    assert same_answers(servers, name, first)

    register(models.conv_net(2))
    second = deployment.run("workflow-2")
    assert (second.triton_version, second.live, second.previous) == (2, "2", "1")
    assert same_answers(servers, name, second)
    assert same_answers(servers, name, first)

    # Every step once more, as a retried workflow does: nothing moves.
    again = deployment.run("workflow-2")
    assert (again.triton_version, again.live, again.previous) == (2, "2", "1")
    names = {key.removeprefix(f"models/{name}/") for key in bucket.keys(f"models/{name}/")}
    assert names == {"config.pbtxt"} | {
        f"{v}/{file}" for v in (1, 2) for file in ("model.onnx", "metadata.json")
    }
    assert list(bucket.keys(f"staging/{name}/")) == []

    # The old model under its old number is a way back; under a number with other bytes it is refused.
    back = deployment.run("workflow-3", "version:1", force=1)
    assert (back.triton_version, back.live, back.previous) == (1, "1", "2")
    with pytest.raises(StepError, match=r"version 2 .* is published with other bytes"):
        deployment.run("workflow-4", "version:1", force=2)

    # The old model under a new number.
    forward = deployment.run("workflow-5", "version:1")
    assert (forward.triton_version, forward.live, forward.previous) == (3, "1", "2")
    assert client.get_model_version(name, "1").tags["triton.version"] == "3"

    body, _ = bucket.read(f"models/{name}/2/metadata.json") or (b"", "")
    metadata = json.loads(body)
    assert list(metadata) == ["mlflow", "triton", "model", "validation"]
    assert (metadata["mlflow"]["version"], metadata["triton"]["version"]) == ("2", "2")
    assert metadata["triton"]["deployed_by"] == "pod"


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1"), "at once"])
def test_two_workflows_deploy_each_the_version_that_it_validated(
    servers: Servers,
    name: str,
    client: MlflowClient,
    register: Callable[[bytes], str],
    order: tuple[str, ...] | str,
) -> None:
    """The gates of both were passed, in the order of the versions, before either deploys."""
    register(models.conv_net(1))
    register(models.conv_net(2))

    def deploy(validated: str) -> Deployed:
        deployment = Deployment(servers, name)
        return deployment.run(f"workflow-{validated}", source="", validated_version=validated)

    if order == "at once":
        with ThreadPoolExecutor(2) as pool:
            deployed = dict(zip("12", pool.map(deploy, "12"), strict=True))
    else:
        deployed = {validated: deploy(validated) for validated in order}
    for validated, result in deployed.items():
        assert result.model.read_bytes() == models.conv_net(int(validated))
        assert same_answers(servers, name, result)
    assert {result.triton_version for result in deployed.values()} == {1, 2}
    aliases = client.get_registered_model(name).aliases
    assert {str(aliases["live"]), str(aliases["previous"])} == {"1", "2"}
    if order != "at once":
        assert str(aliases["live"]) == order[-1]


def test_declaring_the_steps_costs_no_heavy_import() -> None:
    script = (
        "import sys, importlib\n"
        f"for step in {STEPS}: importlib.import_module('argosy.components.deployment.' + step)\n"
        "heavy = {'mlflow', 'boto3', 'onnx', 'onnxruntime', 'numpy', 'requests', 'tritonclient'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("step", "arguments", "message"),
    [
        ("fetch_model", ["--source=deploy"], "source 'deploy' is neither"),
        ("determine_version", ["--owner=a/b", "--model-version=1", "--model-sha256=x"], "owner 'a/b'"),
        ("reload_triton", ["--triton-version=0"], "Triton version 0 is not"),
        ("update_aliases", ["--triton-version=1", "--model-version=latest"], "model_version 'latest'"),
        ("rollback", ["--to=back"], "to 'back' is neither 'previous' nor"),
        ("rollback", ["--owner=a/b"], "owner 'a/b'"),
        (
            "verify_deployment",
            ["--triton-version=1", "--expected-input-shape=[0]"],
            r"_shape \[0\]",
        ),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    servers: Servers, step: str, arguments: list[str], message: str
) -> None:
    uri = [f"--mlflow-tracking-uri={servers.mlflow}"] if step in ("fetch_model", "update_aliases") else []
    command = [sys.executable, "-m", f"argosy.components.deployment.{step}", *arguments, *uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr.strip().splitlines()[-1])
    assert "Traceback" not in done.stderr
