"""The real servers: what they keep, what happens when one dies, and two stacks beside each other."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import psutil
import pytest
import requests
from click.testing import CliRunner

from argosy.cli import stack as commands
from argosy.errors import StackError
from argosy.stack import Stack, StackStatus, dataset
from argosy.stack.storage import client
from tests.documents import hold

from .conftest import processes_of
from .models import linear, publish, withdraw


def run(*arguments: str):
    """Run one of the commands in this process."""
    command = {"up": commands.up, "down": commands.down, "status": commands.status}[arguments[0]]
    return CliRunner().invoke(command, arguments[1:], catch_exceptions=False)


def health(found: StackStatus) -> dict[str, str]:
    return {service.name: service.health for service in found.services}


def pid(stack: Stack, name: str) -> int:
    return next(service.pid for service in stack.status().services if service.name == name)


def test_status_as_json_is_one_document_with_the_endpoints(stack: Stack):
    result = run("status", "--state-dir", str(stack.state_dir), "--output", "json")
    assert result.exit_code == 0
    told = hold("status", result.stdout)
    assert told.items() >= stack.endpoints().to_dict().items()
    assert told["healthy"] and {one["name"] for one in told["services"]} == {"mlflow", "s3", "triton"}
    assert result.stdout.count("\n") == 1


def test_status_as_text_masks_the_secret(stack: Stack):
    result = run("status", "--state-dir", str(stack.state_dir))
    assert result.exit_code == 0
    assert result.stdout.count("healthy") == 3
    assert stack.endpoints().s3.secret_key not in result.output


def test_a_stack_that_never_was_up_is_not_made_by_asking(tmp_path: Path):
    folder = tmp_path / "none"
    assert Stack(folder).status() == StackStatus((), None)
    for arguments in (["status"], ["status", "--output", "json"]):
        result = run(*arguments, "--state-dir", str(folder))
        assert (result.exit_code, "argosy up" in result.stderr) == (1, True)
    assert hold("status", result.stdout) == {"healthy": False, "services": []}
    assert run("down", "--state-dir", str(folder)).exit_code == 0
    with pytest.raises(StackError, match="not up"):
        Stack(folder).environment()
    assert not folder.exists()


def test_install_only_starts_nothing(stack: Stack, tmp_path: Path):
    result = run("up", "--install-only", "--state-dir", str(tmp_path / "state"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Triton is installed in" in result.stderr
    assert not (tmp_path / "state").exists()


def test_up_on_a_running_stack_changes_nothing(stack: Stack):
    before = processes_of(stack.state_dir)
    lines: list[str] = []
    assert stack.up(lines.append) == stack.endpoints()
    assert processes_of(stack.state_dir) == before
    assert lines == []


def test_mlflow_keeps_runs_models_and_artifacts_by_its_uri_alone(stack: Stack, tmp_path: Path):
    tracking = mlflow.MlflowClient(stack.endpoints().mlflow)
    started = tracking.create_run(tracking.create_experiment("one", artifact_location=None))
    (tmp_path / "note.txt").write_text("kept")
    tracking.log_artifact(started.info.run_id, str(tmp_path / "note.txt"))
    assert started.info.artifact_uri.startswith("mlflow-artifacts:/")
    fetched = tracking.download_artifacts(started.info.run_id, "note.txt", str(tmp_path))
    assert Path(fetched).read_text() == "kept"


def test_the_environment_of_a_step_is_enough_for_boto3(stack: Stack):
    code = (
        "import boto3; s3 = boto3.client('s3'); bucket = 'my-triton-models';"
        "s3.put_object(Bucket=bucket, Key='claims/x', Body=b'1', IfNoneMatch='*');"
        "print(s3.get_object(Bucket=bucket, Key='datasets/digits/_COMPLETE')['Body'].read().decode())"
    )
    environment = {"PATH": os.environ["PATH"], **stack.environment()}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stdout) == {"train": 1442, "val": 355}, done.stderr


def test_foreign_settings_do_not_mislead_a_step(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    plain = stack.environment()
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another account")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "example.org")
    added = stack.environment().items() - plain.items()
    assert added == {("AWS_SESSION_TOKEN", ""), ("no_proxy", "example.org,127.0.0.1,localhost")}


def test_the_parameters_of_a_workflow_point_at_the_stack(stack: Stack):
    where = stack.endpoints()
    assert stack.parameters() == {
        "mlflow-tracking-uri": where.mlflow,
        "s3-bucket": "my-triton-models",
        "triton-url": where.triton.http,
        "triton-grpc-url": where.triton.grpc,
        "dataset": "s3://my-triton-models/datasets/digits",
        "checkpoint": "s3://my-triton-models/checkpoints",
    }


def test_the_data_set_is_stored_whole_and_once(stack: Stack):
    target = stack.endpoints().s3
    pages = (
        client(target)
        .get_paginator("list_objects_v2")
        .paginate(Bucket=target.bucket, Prefix="datasets/digits/")
    )
    objects = {item["Key"]: item["LastModified"] for page in pages for item in page["Contents"]}
    assert len(objects) == 1797 + 1
    for image in list(dataset.images())[::200]:
        stored = client(target).get_object(Bucket=target.bucket, Key=f"datasets/digits/{image.key}")
        assert stored["Body"].read() == image.png
    assert objects["datasets/digits/_COMPLETE"] == max(objects.values())


def test_the_wrong_key_is_refused(stack: Stack):
    answer = requests.get(f"{stack.endpoints().s3.endpoint}/my-triton-models", timeout=10)
    assert answer.status_code == 403


def test_everything_listens_on_loopback_alone(stack: Stack):
    listening = [
        connection.laddr.ip
        for process in processes_of(stack.state_dir)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 13
    # Triton's gRPC listens on the same address by its IPv6 name.
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


@pytest.mark.parametrize("name", ["mlflow", "s3", "triton"])
def test_a_killed_server_is_named_with_its_log_and_up_mends_it(stack: Stack, name: str):
    if name == "triton":
        publish(stack.endpoints().s3, "survivor", 1, linear())
        publish(stack.endpoints().s3, "broken", 1, b"no model")
        client(stack.endpoints().s3).put_object(
            Bucket="my-triton-models", Key="models/half/1/model.onnx", Body=b"x"
        )
    before = stack.endpoints()
    os.kill(pid(stack, name), signal.SIGKILL)
    _wait_until(lambda: health(stack.status())[name] == "dead")
    result = run("status", "--state-dir", str(stack.state_dir), "--output", "json")
    assert result.exit_code == 1
    told = hold("status", result.stdout)
    assert told.items() >= before.to_dict().items()
    assert [one["name"] for one in told["services"] if one["health"] == "dead"] == [name]
    last_words = (stack.state_dir / "logs" / f"{name}.log").read_text().strip().splitlines()[-1]
    assert f"{name} (process" in result.stderr and last_words in result.stderr
    with pytest.raises(StackError, match=f"{name} .*is no longer running"):
        stack.status().require_healthy()

    lines: list[str] = []
    assert stack.up(lines.append) == before
    assert lines[0] == f"{name} is no longer running: starting it again"
    assert stack.status().healthy
    if name == "triton":
        assert _ready(stack, "survivor") and not _ready(stack, "broken")
        assert any("could not load the model 'broken'" in line for line in lines)
        assert not any("half" in line for line in lines)
        for model in ("survivor", "broken", "half"):
            withdraw(before.s3, model)


def test_a_server_that_hangs_is_replaced(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("argosy.stack.stack._GRACE", 3.0)
    hung = pid(stack, "triton")
    os.kill(hung, signal.SIGSTOP)
    try:
        assert health(stack.status())["triton"] == "unhealthy"
        monkeypatch.setattr("argosy.stack.stack._LAST_CHANCE", 0.5)
        stack.up()
    finally:
        if psutil.pid_exists(hung):
            os.kill(hung, signal.SIGCONT)
    assert stack.status().healthy
    assert pid(stack, "triton") != hung


def test_data_survive_down_and_up_even_if_a_port_is_taken_meanwhile(stack: Stack):
    before, target = stack.endpoints(), stack.endpoints().s3
    client(target).put_object(Bucket=target.bucket, Key="kept", Body=b"still here")
    mlflow.MlflowClient(before.mlflow, before.mlflow).create_registered_model("kept")
    stack.down()
    assert processes_of(stack.state_dir) == []
    assert set(health(stack.status()).values()) == {"stopped"}
    stack.down()  # once more does no harm
    port = int(target.endpoint.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)):
        after = stack.up()
    assert after == stack.endpoints() == replace(before, s3=replace(target, endpoint=after.s3.endpoint))
    assert after.s3.endpoint != target.endpoint
    assert client(after.s3).get_object(Bucket=target.bucket, Key="kept")["Body"].read() == b"still here"
    assert mlflow.MlflowClient(before.mlflow, before.mlflow).get_registered_model("kept").name == "kept"


def test_two_stacks_live_beside_each_other(stack: Stack, tmp_path: Path):
    """Two commands at once bring up the second one, whose end does not touch the first."""
    other = Stack(tmp_path / "other")
    try:
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(lambda _: other.up(), range(2))
        assert one == two
        assert len([p for p in processes_of(other.state_dir) if p.name() in ("weed", "tritonserver")]) == 2
        assert one.s3.access_key != stack.endpoints().s3.access_key
        client(one.s3).put_object(Bucket=one.s3.bucket, Key="only-here", Body=b"")
        target = stack.endpoints().s3
        assert "Contents" not in client(target).list_objects_v2(Bucket=target.bucket, Prefix="only-here")
    finally:
        other.down()
    assert processes_of(other.state_dir) == []
    assert stack.status().healthy
    _a_failed_start_leaves_nothing_running(other)


def _a_failed_start_leaves_nothing_running(other: Stack) -> None:
    """A server that cannot start takes the others down again, and is the one that is reported."""
    database = other.state_dir / "data" / "mlflow" / "mlflow.db"
    database.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(StackError, match=r"mlflow ended with exit code \d+(?s:.)*not a database"):
        other.up()
    assert processes_of(other.state_dir) == []
    assert set(health(other.status()).values()) == {"stopped"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing_running(tmp_path: Path, number: signal.Signals):
    # Tests that run in the background may have inherited a SIGINT that is ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from argosy.cli.stack import up; up(sys.argv[1:])"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, "--state-dir", str(tmp_path)], stderr=subprocess.DEVNULL
    )
    _wait_until(lambda: len(processes_of(tmp_path)) >= 3)
    child.send_signal(number)
    assert child.wait(60) != 0
    assert processes_of(tmp_path) == []


def _ready(stack: Stack, model: str) -> bool:
    url = f"{stack.endpoints().triton.http}/v2/models/{model}/versions/1/ready"
    return requests.get(url, timeout=10).status_code == 200


def _wait_until(true, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
