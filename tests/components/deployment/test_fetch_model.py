"""Fetching models, from the real MLflow server."""

import dataclasses
import hashlib
import json
import logging
import os
import pickle
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import onnx
import onnxruntime
import pytest
from mlflow.tracking import MlflowClient
from onnx.external_data_helper import set_external_data

from argosy.components.deployment import fetch_model
from argosy.components.deployment.fetch_model import Fetched
from argosy.components.deployment.model.layout import Metadata
from argosy.components.deployment.model.onnx_model import data_files, is_bundle, load_graph, unpack
from argosy.components.deployment.model.source_model import describe, fetch
from argosy.components.shared import registry
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import GATE_2, Servers
from tests.faults.proxy import Fault, FaultProxy

OUTPUTS = ("model", "metadata", "model-version", "model-sha256")

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


def test_the_validated_version_where_no_source_is_given(
    servers: Servers, name: str, register: Register
) -> None:
    validated = register(models.conv_net(1))
    elsewhere = register(models.conv_net(2))  # another workflow's Gate 2 moves the alias

    def origin(source: str, validated_version: str) -> dict[str, str]:
        fetched = fetch_model(
            model_name=name,
            source=source,
            validated_version=validated_version,
            mlflow_tracking_uri=servers.mlflow,
        )
        told: dict[str, str] = json.loads(fetched.metadata.read_text())["mlflow"]
        assert told["version"] == fetched.model_version
        return {
            key: told[key] for key in ("version", "alias_at_deploy", "deploy_alias_version") if key in told
        }

    assert origin("", validated) == {
        "version": validated,
        "alias_at_deploy": f"version:{validated}",
        "deploy_alias_version": elsewhere,
    }
    assert origin("", elsewhere) == {"version": elsewhere, "alias_at_deploy": "alias:deploy"}
    assert origin("alias:deploy", validated) == {"version": elsewhere, "alias_at_deploy": "alias:deploy"}


@pytest.mark.parametrize(
    ("validated", "message"),
    [("", "^source is empty; give alias:NAME"), ("one", "^validated_version 'one' is not the number of a")],
)
def test_neither_source_nor_version(servers: Servers, name: str, validated: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fetch_model(
            model_name=name, source="", validated_version=validated, mlflow_tracking_uri=servers.mlflow
        )


def test_the_run_that_trained_it_is_told_beside_the_one_that_exported_it(
    servers: Servers, name: str, register: Register
) -> None:
    model = onnx.load_from_string(models.conv_net(1))
    onnx.helper.set_model_props(model, {"run_id": json.dumps("f" * 32), "task": json.dumps("any")})
    register(model.SerializeToString())
    fetched = fetch_model(model_name=name, mlflow_tracking_uri=servers.mlflow)
    told = json.loads(fetched.metadata.read_text())["mlflow"]
    assert told["training_run_id"] == "f" * 32 != told["run_id"]
    assert Metadata.read(fetched.metadata).mlflow.training_run_id == "f" * 32


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
        ("", UsageError, "^source is empty; give alias:NAME"),
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


@dataclass(frozen=True)
class Logged:
    """Files that a run logged as its model, registered as version 1."""

    servers: Servers
    name: str

    def fetch(self) -> Fetched:
        """Run the step."""
        return fetch_model(model_name=self.name, source="version:1", mlflow_tracking_uri=self.servers.mlflow)

    def refused(self, message: str) -> None:
        """Run the step, which fails in one line and leaves nothing on the disk."""
        with pytest.raises(StepError, match=message) as caught:
            self.fetch()
        assert "\n" not in str(caught.value)
        assert list(Path(tempfile.gettempdir()).glob("argosy-*")) == []


@pytest.fixture
def log_files(
    servers: Servers, client: MlflowClient, name: str, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path], Logged]:  # fmt: skip
    """Log a folder's files as they are, as a model's artifacts, and register them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("scratch")))

    def put(folder: Path) -> Logged:
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(folder), "model")
        registry.ensure_model(client, name)
        client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
        return Logged(servers, name)

    return put


def test_weights_that_mlflow_put_into_a_file_of_their_own(
    servers: Servers, client: MlflowClient, name: str
) -> None:
    """What `mlflow.onnx.log_model` does unless it is told otherwise."""
    original = onnx.load_from_string(models.conv_net(3, classes=500))
    with mlflow.start_run() as run:
        info = mlflow.onnx.log_model(onnx.load_from_string(original.SerializeToString()), name="model")
    logged = {Path(file.path).name for file in mlflow.artifacts.list_artifacts(info.model_uri)}
    assert len(logged & {"model.onnx"}) == 1
    registry.ensure_model(client, name)
    client.create_model_version(name, info.model_uri, run.info.run_id, model_id=info.model_id)
    fetched = fetch_model(model_name=name, source="version:1", mlflow_tracking_uri=servers.mlflow)
    assert data_files(load_graph(fetched.model)) == []
    image = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    answers = [
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"input": image})[0]
        for model in (original.SerializeToString(), fetched.model.read_bytes())
    ]
    np.testing.assert_array_equal(*answers)
    assert fetched.model_sha256 == hashlib.sha256(fetched.model.read_bytes()).hexdigest()
    assert "data_files" not in json.loads(fetched.metadata.read_text())["model"]


def test_a_model_too_large_for_one_file_travels_with_its_data_files(
    log_files: Callable[[Path], Logged], client: MlflowClient, name: str, tmp_path: Path
) -> None:
    models.with_external_data(tmp_path)
    log_files(tmp_path)
    folder = tmp_path / "fetched"
    folder.mkdir()
    version = registry.get_version(client, name, "1")
    model = fetch(version, folder, single_file_bytes=100)
    assert sorted(model.files) == ["model.onnx", "weights"]
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"model.onnx"}
    assert is_bundle(model.file)
    (tmp_path / "unpacked").mkdir()
    unpacked = unpack(model.file, tmp_path / "unpacked")
    assert unpacked.read_bytes() == (tmp_path / "model.onnx").read_bytes()
    describe(client, version, "version:1", model).write(tmp_path / "metadata.json")
    known = Metadata.read(tmp_path / "metadata.json").model
    assert known.sha256 == hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    data = (tmp_path / "weights").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    assert list(known.data_files) == [{"name": "weights", "size": len(data), "sha256": sha256}]


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "a/../../b", "w\n", "metadata.json"])
def test_a_model_that_reaches_outside_of_its_folder(
    log_files: Callable[[Path], Logged], tmp_path: Path, location: str
) -> None:
    path = models.with_external_data(tmp_path)
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.raw_data = b"0" * 16
        set_external_data(tensor, location=location, offset=0, length=16)
        tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    log_files(tmp_path).refused("no plain file name inside of its own folder")


def test_a_data_file_that_was_not_logged(log_files: Callable[[Path], Logged], tmp_path: Path) -> None:
    models.with_external_data(tmp_path)
    (tmp_path / "weights").unlink()
    log_files(tmp_path).refused("has no file 'weights'; there is model.onnx")


def test_a_truncated_data_file(log_files: Callable[[Path], Logged], tmp_path: Path) -> None:
    models.with_external_data(tmp_path)
    data = tmp_path / "weights"
    data.write_bytes(data.read_bytes()[:-1])
    log_files(tmp_path).refused("weights has .* bytes, and tensor .*: the file is truncated")


def test_garbage_leaves_nothing_behind(log_files: Callable[[Path], Logged], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(os.urandom(5000))
    log_files(tmp_path).refused("is not a(n| valid) ONNX model")


def test_a_pickle_is_no_model_and_is_never_loaded(
    log_files: Callable[[Path], Logged], tmp_path: Path
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.onnx").write_bytes(pickle.dumps(Bomb()))
    log_files(tmp_path / "model").refused("is not a(n| valid) ONNX model")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("times", [2, 0], ids=["passing", "lasting"])
def test_a_download_that_breaks_off(
    servers: Servers,
    log_files: Callable[[Path], Logged],
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    times: int,
) -> None:
    caplog.set_level(logging.INFO)  # onnxruntime's quantizer raises the level of all loggers
    (tmp_path / "model.onnx").write_bytes(models.conv_net(classes=400_000))  # 6 MB
    log_files(tmp_path)
    proxy = FaultProxy(servers.mlflow)
    uri = mlflow.get_tracking_uri()
    try:
        through = Logged(dataclasses.replace(servers, mlflow=proxy.url), name)
        # Enough for any answer but the model.
        with proxy.fault(Fault(cut_answer_after=1_000_000, times=times)):
            if times:
                assert through.fetch().model.stat().st_size > 6_000_000
                assert "model.onnx broke off" in caplog.text
            else:
                through.refused("broke off: .* on each of four tries")
    finally:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        proxy.close()


def test_a_full_disk(
    log_files: Callable[[Path], Logged], servers: Servers, name: str, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(models.conv_net(classes=400_000))
    log_files(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run = subprocess.run(
        [
            *(sys.executable, "-m", "argosy.components.deployment.fetch_model", f"--model-name={name}"),
            *("--source=version:1", f"--mlflow-tracking-uri={servers.mlflow}"),
            *(f"--output-{output}={tmp_path / 'out' / output}" for output in OUTPUTS),
        ],
        env={**os.environ, "TMPDIR": str(scratch)},
        # The kernel refuses to let any file grow beyond this, as a full disk does.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert "File too large; give the step more disk" in run.stderr.splitlines()[-1]
    assert list(scratch.glob("argosy-*")) == []


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
