"""Credentials stay in the environment: no log, output, record, tag, manifest or request body shows them."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.httpsession import URLLib3Session
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from argosy.cli.main import main
from argosy.components.shared import registry, s3
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers
from tests.components.deployment.deploying import Deployment

MARKED = {"MLFLOW_TRACKING_USERNAME": "marked-user-7f3a", "MLFLOW_TRACKING_PASSWORD": "marked-password-91bc"}
IN_AN_ADDRESS = "hunter2-in-an-address"


@pytest.fixture
def secrets(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What must not appear anywhere; the steps' environment holds all of it."""
    for variable, value in MARKED.items():
        monkeypatch.setenv(variable, value)
    return [
        MARKED["MLFLOW_TRACKING_PASSWORD"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        os.environ["AWS_ACCESS_KEY_ID"],
    ]


def _found(secrets: list[str], text: str) -> list[str]:
    return [secret for secret in secrets if secret in text]


def _everything_in(bucket: Bucket) -> str:
    small = (key for key in bucket.keys("") if not key.startswith("datasets/"))
    bodies = ((key, bucket.read(key)) for key in small)
    return "\n".join(key + (body[0].decode("utf-8", "replace") if body else "") for key, body in bodies)


def _everything_of(client: MlflowClient, name: str) -> str:
    found: list[Any] = []
    for version in client.search_model_versions(f"name='{name}'"):
        run = client.get_run(version.run_id or "")
        found += [dict(version), run.data.to_dictionary(), dict(run.info)]
    return json.dumps(found, default=str)


def test_a_deployment_as_processes(
    servers: Servers,
    secrets: list[str],
    name: str,
    bucket: Bucket,
    client: MlflowClient,
    register: Callable[[bytes], str],
    tmp_path: Path,
) -> None:
    register(models.conv_net(1))
    given = {
        "model-name": name,
        # A server without users takes any; the address carries a password of its own.
        "mlflow-tracking-uri": servers.mlflow.replace("//", f"//someone:{IN_AN_ADDRESS}@"),
        "s3-bucket": servers.bucket,
        "triton-url": servers.triton,
        "triton-grpc-url": servers.triton_grpc,
        "expected-input-shape": f"[1, 3, {models.SIZE}, {models.SIZE}]",
        "expected-output-shape": f"[1, {models.CLASSES}]",
    }
    words = [word for key, value in given.items() for word in ("-p", f"{key}={value}")]
    # A step has no variable of the shell's but by a file that names it.
    kept = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name in MARKED}
    (tmp_path / "servers.env").write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    words += ["--env-file", str(tmp_path / "servers.env"), "--state-dir", str(tmp_path / "state")]
    done = CliRunner().invoke(main, ["run", "deploy-model-image-classification", *words])
    assert done.exit_code == 0, done.stderr
    logs = list((tmp_path / "state").rglob("main.log"))
    assert len(logs) >= 7
    secrets.append(IN_AN_ADDRESS)
    assert _found(secrets, done.stdout + done.stderr) == []
    for log in logs:
        assert _found(secrets, log.read_text()) == [], log
    assert _found(secrets, _everything_in(bucket)) == []
    assert _found(secrets, _everything_of(client, name)) == []
    # The run's own folder keeps the parameters as they were given, and nothing of the environment.
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and path.suffix != ".onnx"]
    assert len(files) > len(logs)
    for path in files:
        assert _found(secrets[:-1], path.read_text(errors="replace")) == [], path


def test_what_is_sent(
    servers: Servers,
    secrets: list[str],
    name: str,
    register: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register(models.conv_net(1))
    sent: list[str] = []
    by_requests, by_boto = requests.Session.send, URLLib3Session.send

    def noted(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        sent.append(f"{request.url} {request.body!r}")
        return by_requests(session, request, **options)

    def noted_by_boto(session: Any, request: Any) -> Any:
        body = request.body if isinstance(request.body, str | bytes) else b""
        # The access key's name is part of every signature; the key itself is not.
        sent.append(f"{request.url} {body!r} {request.headers}".replace(secrets[2], ""))
        return by_boto(session, request)

    monkeypatch.setattr(requests.Session, "send", noted)
    monkeypatch.setattr(URLLib3Session, "send", noted_by_boto)
    with caplog.at_level(logging.INFO):
        Deployment(servers, name).run("workflow-1")
    assert len(sent) > 50
    assert _found(secrets, "\n".join(sent)) == []
    assert _found(secrets, caplog.text) == []


@pytest.mark.parametrize(
    "step", ["fetch_model", "update_aliases", "prune_versions", "rollback", "sync_triton"]
)
def test_an_address_with_a_password_in_an_error(servers: Servers, step: str) -> None:
    uri = f"http://someone:{IN_AN_ADDRESS}@127.0.0.1:9"
    command = [sys.executable, "-m", f"argosy.components.deployment.{step}", f"--mlflow-tracking-uri={uri}"]
    more = {"update_aliases": ["--model-version=1", "--triton-version=1"]}.get(step, [])
    environment = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert IN_AN_ADDRESS not in done.stdout + done.stderr
    assert "http://***@127.0.0.1:9" in done.stderr


def test_the_training_client_hides_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StepError) as caught:
        registry.connect(f"http://someone:{IN_AN_ADDRESS}@127.0.0.1:9")
    assert IN_AN_ADDRESS not in str(caught.value)


def test_an_s3_address_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (f"http://someone:{IN_AN_ADDRESS}@127.0.0.1:9", f"someone:{IN_AN_ADDRESS}@127.0.0.1"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(UsageError, match="AWS_ENDPOINT_URL_S3") as caught:
            s3.connect("some-bucket")
        assert IN_AN_ADDRESS not in str(caught.value)


def test_a_password_is_not_submitted() -> None:
    uri = f"mlflow-tracking-uri=http://someone:{IN_AN_ADDRESS}@mlflow"
    done = CliRunner().invoke(main, ["submit", "deploy-model-image-classification", "--dry-run", "-p", uri])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "MLFLOW_TRACKING_PASSWORD" in done.stderr and IN_AN_ADDRESS not in done.stderr


def test_no_secret_is_compiled(secrets: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["compile", "-o", str(tmp_path)])
    assert done.exit_code == 0
    texts = [path.read_text() for path in tmp_path.glob("*.yaml")]
    assert len(texts) >= 4
    assert _found(secrets, "".join(texts)) == []
