"""Fetching models, from the real MLflow server."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import fetch_model
from argosy.components.shared import registry
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import GATE_2, Servers

Register = Callable[..., str]


def test_by_alias(servers: Servers, name: str, register: Register) -> None:
    register(models.conv_net(1))
    version = register(models.conv_net(2))
    fetched = fetch_model(model_name=name, mlflow_tracking_uri=servers.mlflow)
    assert fetched.model_version == version == "2"
    assert fetched.model_sha256 == hashlib.sha256(fetched.model.read_bytes()).hexdigest()
    metadata = json.loads(fetched.metadata.read_text())
    assert metadata["mlflow"] | {"run_id": ""} == {
        "model_name": name,
        "version": "2",
        "run_id": "",
        "alias_at_deploy": "alias:deploy",
        "run_name": f"export-{name}",
    }
    assert len(metadata["mlflow"]["run_id"]) == 32
    assert metadata["triton"] is None
    assert metadata["model"] == {
        "format": "onnx",
        "file_size_mb": round(fetched.model.stat().st_size / 2**20, 2),
        "sha256": fetched.model_sha256,
        "inputs": [{"name": "input", "shape": ["batch_size", 3, 8, 8]}],
        "outputs": [{"name": "output", "shape": ["batch_size", 10]}],
    }
    assert metadata["validation"] == GATE_2


def test_by_version_and_without_a_validation(servers: Servers, name: str, register: Register) -> None:
    register(models.conv_net(1), {})
    register(models.conv_net(2))
    fetched = fetch_model(model_name=name, source="version:1", mlflow_tracking_uri=servers.mlflow)
    metadata = json.loads(fetched.metadata.read_text())
    assert (fetched.model_version, metadata["mlflow"]["alias_at_deploy"]) == ("1", "version:1")
    assert set(metadata["validation"].values()) == {None}


def test_validation_from_the_versions_tags(
    servers: Servers, name: str, client: MlflowClient, register: Register
) -> None:
    version = register(models.conv_net(1), {})
    registry.set_version_tags(client, name, version, {**GATE_2, "validation_onnx_speedup": "fast"})
    fetched = fetch_model(model_name=name, mlflow_tracking_uri=servers.mlflow)
    measured = json.loads(fetched.metadata.read_text())["validation"]
    assert measured == GATE_2 | {"validation_onnx_speedup": None}


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("alias:prod", StepError, "has no alias 'prod'; its aliases: deploy"),
        ("version:9", StepError, "find version 9 of model"),
        ("deploy", UsageError, "neither 'alias:NAME'"),
        ("", UsageError, "neither 'alias:NAME'"),
    ],
)
def test_sources_that_lead_nowhere(
    servers: Servers, name: str, register: Register, source: str, error: type[Exception], message: str
) -> None:
    register(models.conv_net())
    with pytest.raises(error, match=message) as caught:
        fetch_model(model_name=name, source=source, mlflow_tracking_uri=servers.mlflow)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_registered(servers: Servers) -> None:
    with pytest.raises(StepError, match="no registered model 'nobody'"):
        fetch_model(model_name="nobody", mlflow_tracking_uri=servers.mlflow)


def test_a_name_that_is_a_path(servers: Servers) -> None:
    with pytest.raises(UsageError, match=r"model_name '\.\./etc' cannot be part of a key"):
        fetch_model(model_name="../etc", mlflow_tracking_uri=servers.mlflow)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"weights.bin": b"x"}, "1 has no file 'model.onnx'; there is weights.bin"),
        ({"model.onnx": b"garbage"}, "model.onnx is not an ONNX model"),
    ],
)
def test_a_version_without_a_usable_file(
    servers: Servers,
    name: str,
    client: MlflowClient,
    tmp_path: Path,
    files: dict[str, bytes],
    message: str,
) -> None:
    with mlflow.start_run() as run:
        for file, content in files.items():
            (tmp_path / file).write_bytes(content)
            mlflow.log_artifact(str(tmp_path / file), "model")
    registry.ensure_model(client, name)
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    with pytest.raises(StepError, match=message) as caught:
        fetch_model(model_name=name, source="version:1", mlflow_tracking_uri=servers.mlflow)
    assert "\n" not in str(caught.value)
