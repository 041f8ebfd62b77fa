"""`argosy` as a user types it, and an embedded stack that it starts itself, empty at first."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from mlflow import MlflowClient

ARGOSY = Path(sys.executable).with_name("argosy")


@dataclass(frozen=True)
class Done:
    """A finished `argosy` command."""

    code: int
    document: Any
    stderr: str

    def phases(self) -> dict[str, str]:
        """The phase of each node by name."""
        return {n["name"]: n["phase"] for n in self.document["nodes"]}

    def outputs(self, node: str) -> dict[str, str]:
        """A node's output parameters."""
        found = next(n for n in self.document["nodes"] if n["name"] == node)
        parameters: dict[str, str] = found["outputs"]["parameters"]
        return parameters


Argosy = Callable[..., Done]


def argosy_in(state: Path) -> Argosy:
    """`argosy ARGS` with that folder for its state."""
    environment = {**os.environ, "ARGOSY_STATE_DIR": str(state)}

    def call(*args: str) -> Done:
        done = subprocess.run(
            [ARGOSY, *args], env=environment, cwd=state.parent, capture_output=True, text=True, check=False
        )
        document = json.loads(done.stdout) if done.stdout.startswith("{") else None
        return Done(done.returncode, document, done.stderr)

    return call


@pytest.fixture(scope="module")
def argosy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Argosy]:
    """Runs `argosy ARGS`; the stack that it starts is stopped at the end."""
    call = argosy_in(tmp_path_factory.mktemp("state") / ".argosy")
    yield call
    call("down")


@pytest.fixture(scope="module")
def endpoints(argosy: Argosy) -> dict[str, Any]:
    """Where the servers of the stack are; starts it."""
    assert argosy("up").code == 0
    status = argosy("status", "--output", "json")
    assert status.code == 0, status.stderr
    found: dict[str, Any] = status.document
    return found


@pytest.fixture(scope="module")
def registry(endpoints: dict[str, Any]) -> MlflowClient:
    """The stack's MLflow."""
    return MlflowClient(endpoints["mlflow"], endpoints["mlflow"])


@pytest.fixture(scope="module")
def bucket(endpoints: dict[str, Any]) -> Any:
    """The stack's S3 bucket."""
    s3 = endpoints["s3"]
    resource = boto3.resource(
        "s3",
        endpoint_url=s3["endpoint"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    return resource.Bucket(s3["bucket"])


EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "environments" / "argosy.yaml"


@pytest.fixture(scope="module")
def in_kind(tmp_path_factory: pytest.TempPathFactory, endpoints: dict[str, Any]) -> Argosy:
    """Runs `argosy ARGS` in a project with the example's environments, which knows of no stack.

    Of the environment `kind` the addresses alone are other ones: those of the servers here. Secrets come from
    the object that `kubectl apply` takes.
    """
    folder, s3 = tmp_path_factory.mktemp("kind"), endpoints["s3"]
    text = EXAMPLE.read_text()
    for theirs, ours in {
        "http://172.18.0.1:5000": endpoints["mlflow"],
        "http://172.18.0.1:8000": endpoints["triton"]["http"],
        "http://172.18.0.1:9000": s3["endpoint"],
        "s3://dev-datasets/digits": f"s3://{s3['bucket']}/datasets/digits",
        "s3://dev-checkpoints/training": f"s3://{s3['bucket']}/checkpoints/kind",
        "s3-bucket: dev-triton-models": f"s3-bucket: {s3['bucket']}",
    }.items():
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    (folder / "argosy.yaml").write_text(f"secrets: secret.yaml\n{text}")
    values = {"access-key": s3["access_key"], "secret-key": s3["secret_key"]}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3", "namespace": "argo"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
    (folder / "secret.yaml").write_text(json.dumps(secret))
    return argosy_in(folder / ".argosy")
