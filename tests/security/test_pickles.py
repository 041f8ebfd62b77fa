"""Model files that would run code if anybody unpickled them: no step does."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient
from torch import nn

from argosy.components.deployment import fetch_model, prepare_artifacts, upload_to_s3, verify_deployment
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket
from argosy.components.training import export_to_onnx, validate_onnx
from argosy.components.training.checkpoints.checkpoint import FORMAT, Checkpoint, CorruptCheckpoint
from argosy.components.training.export import load_pytorch
from argosy.components.training.network.model import read_weights
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers, prepared


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that unpickling makes."""
    return tmp_path / "canary"


@pytest.fixture
def payload(canary: Path) -> bytes:
    """A pickle that makes the canary, which works."""
    body = pickle.dumps(Malicious(canary))
    pickle.loads(body)
    assert canary.exists()
    canary.unlink()
    return body


def _register(client: MlflowClient, name: str, folder: Path) -> str:
    mlflow.set_experiment("pickles")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "model")
    registry.ensure_model(client, name)
    source = f"runs:/{run.info.run_id}/model"
    return str(client.create_model_version(name, source, run.info.run_id).version)


def test_fetch_model(
    servers: Servers, client: MlflowClient, name: str, payload: bytes, canary: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_bytes(payload)
    version = _register(client, name, tmp_path / "model")
    with pytest.raises(StepError, match="not an ONNX model"):
        fetch_model(model_name=name, source=f"version:{version}", mlflow_tracking_uri=servers.mlflow)
    assert not canary.exists()


def test_prepare_and_upload(
    servers: Servers, name: str, payload: bytes, canary: Path, tmp_path: Path
) -> None:
    made = prepared(tmp_path / "p", name, 1, models.conv_net(1))
    good, bad = tmp_path / "p" / "model.onnx", tmp_path / "bad"
    bad.write_bytes(payload)
    for model, metadata in ((bad, tmp_path / "p" / "metadata.json"), (good, bad)):
        with pytest.raises(StepError):
            prepare_artifacts(model=model, metadata=metadata, triton_version=1, model_name=name)
    for file in ("1/model.onnx", "1/metadata.json"):
        (made / file).unlink()
        (made / file).write_bytes(payload)
        with pytest.raises(StepError):
            upload_to_s3(
                artifacts=made, triton_version=1, owner="w", model_name=name, s3_bucket=servers.bucket
            )
    assert not canary.exists()


def test_verify_deployment(
    servers: Servers, name: str, bucket: Bucket, payload: bytes, canary: Path, tmp_path: Path
) -> None:
    folder = prepared(tmp_path / "p", name, 1, models.conv_net(1)) / "1"
    described = json.loads((folder / "metadata.json").read_text())
    described["model"] |= {"sha256": hashlib.sha256(payload).hexdigest(), "file_size_mb": 0.0}
    bucket.write_if_absent(f"models/{name}/1/model.onnx", payload)
    bucket.write_if_absent(f"models/{name}/1/metadata.json", json.dumps(described).encode())
    with pytest.raises(StepError):
        verify_deployment(
            triton_version=1,
            model_name=name,
            triton_url=servers.triton,
            s3_bucket=servers.bucket,
            mlflow_tracking_uri=servers.mlflow,
        )
    assert not canary.exists()


def _stored_network(folder: Path) -> Path:
    """A network as `train` stores it: an exported program."""
    sample = torch.zeros(2, 4).numpy()
    mlflow.pytorch.save_model(
        nn.Linear(4, 2).eval(),
        str(folder),
        input_example=sample,
        serialization_format="pt2",
        pip_requirements=["torch"],
        signature=mlflow.models.infer_signature(sample, sample[:, :2]),
    )
    return folder


def _as_pickle(folder: Path, payload: bytes) -> None:
    (folder / "data" / "model.pt2").unlink()
    (folder / "data" / "model.pth").write_bytes(payload)
    (folder / "data" / "pickle_module_info.txt").write_text("pickle")


def _as_other_file(folder: Path, payload: bytes) -> None:
    (folder / "data" / "weights.bin").write_bytes(payload)
    description = yaml.safe_load((folder / "MLmodel").read_text())
    description["flavors"]["pytorch"]["model_data"] = "data/weights.bin"
    (folder / "MLmodel").write_text(yaml.safe_dump(description))


def _in_the_archive(folder: Path, payload: bytes) -> None:
    """Every binary record of the exported program becomes the pickle."""
    path = folder / "data" / "model.pt2"
    with zipfile.ZipFile(path) as archive:
        records = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for record, body in records.items():
            evil = "/weights/" in record or "/sample_inputs/" in record or record.endswith((".pt", ".pkl"))
            archive.writestr(record, payload if evil and not record.endswith(".json") else body)
    path.write_bytes(made.getvalue())


def _with_code(folder: Path, payload: bytes) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "torchvision.py").write_text(f"import pickle; pickle.loads({payload!r})")
    description = yaml.safe_load((folder / "MLmodel").read_text())
    description["flavors"]["pytorch"]["code"] = "code"
    (folder / "MLmodel").write_text(yaml.safe_dump(description))


@pytest.mark.parametrize("tamper", [_as_pickle, _as_other_file, _in_the_archive, _with_code])
def test_a_stored_network(
    servers: Servers,
    client: MlflowClient,
    name: str,
    payload: bytes,
    canary: Path,
    tmp_path: Path,
    tamper: Callable[[Path, bytes], None],
) -> None:
    good = _register(client, name, _stored_network(tmp_path / "model"))
    assert load_pytorch(name, good).sample == (4,)
    tamper(tmp_path / "model", payload)
    bad = _register(client, name, tmp_path / "model")
    with pytest.raises(StepError):
        export_to_onnx(
            model_version=bad, model_name=name, mlflow_tracking_uri=servers.mlflow, input_shape="1,4"
        )
    assert not canary.exists()


def test_validate_onnx(
    servers: Servers, client: MlflowClient, name: str, payload: bytes, canary: Path, tmp_path: Path
) -> None:
    version = _register(client, name, _stored_network(tmp_path / "model"))
    export = export_to_onnx(
        model_version=version, model_name=name, mlflow_tracking_uri=servers.mlflow, input_shape="1,4"
    ).export_run_id
    (tmp_path / "model.onnx").write_bytes(payload)
    (tmp_path / "validation_inputs.npy").write_bytes(payload)
    for artifact in ("validation_inputs.npy", "model.onnx"):
        client.log_artifact(export, str(tmp_path / artifact))
        source = client.get_model_version(name, version).run_id
        if artifact == "validation_inputs.npy" and source:
            client.log_artifact(source, str(tmp_path / artifact))
        with pytest.raises(StepError):
            validate_onnx(export_run_id=export, model_name=name, mlflow_tracking_uri=servers.mlflow)
        assert not canary.exists()


def test_checkpoints_and_weights(payload: bytes, canary: Path, tmp_path: Path) -> None:
    head = f"argosy checkpoint {FORMAT} {hashlib.sha256(payload).hexdigest()}\n".encode()
    with pytest.raises(CorruptCheckpoint):
        Checkpoint.decode(head + payload, "here")
    (tmp_path / "weights.pt").write_bytes(payload)
    with pytest.raises(UsageError, match="read safely"):
        read_weights(str(tmp_path / "weights.pt"), "resnet18")
    assert not canary.exists()
