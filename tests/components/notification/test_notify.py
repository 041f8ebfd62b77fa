"""Telling people: a webhook that takes, refuses, breaks or hangs; numbers from the real MLflow."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.aliases.history import Move, now, write_history
from argosy.components.notification import notify
from argosy.components.notification.notify import WEBHOOK
from argosy.components.shared import registry
from argosy.stack import Stack

SECRET = "T0P-S3CRET"


@dataclass
class Webhook:
    """A server that keeps what it is sent, and answers as it is told."""

    answers: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    drip: threading.Event | None = None
    raw: bytes = b""
    url: str = ""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """Running on loopback, and named in the environment as the Secret would."""
    state = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            state.paths.append(self.path)
            if state.raw:
                self.wfile.write(state.raw % self.path.encode())
                return
            if state.drip is not None:
                while not state.drip.wait(0.05):
                    self.wfile.write(b"H")
                return
            self.send_response(state.answers.pop(0) if state.answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
    monkeypatch.setenv(WEBHOOK, state.url)
    yield state
    if state.drip is not None:
        state.drip.set()
    server.shutdown()
    server.server_close()


def test_json_holds_what_is_known_and_slack_a_text(webhook: Webhook) -> None:
    assert notify(workflow="deploy-1", status="Failed", form="json", link="https://argo/1").result == "sent"
    assert notify(workflow="deploy-<1>", status="Succeeded", link="https://argo/2").result == "sent"
    told, slack = webhook.bodies
    assert told == {
        "workflow": "deploy-1",
        "status": "Failed",
        "model": "resnet18-imagenette-onnx",
        "link": "https://argo/1",
    }
    assert slack == {"text": ":white_check_mark: *deploy-&lt;1&gt;* Succeeded\nhttps://argo/2"}


@pytest.mark.parametrize("answers", [[503], [429, 500]])
def test_what_may_pass_is_tried_again(webhook: Webhook, answers: list[int]) -> None:
    webhook.answers = [*answers, 200]
    assert notify(workflow="w", status="Succeeded").result == "sent"
    assert len(webhook.bodies) == len(answers) + 1


@pytest.mark.parametrize(("answers", "reason"), [([404], "404"), ([302], "302"), ([500] * 50, "500")])
def test_a_refusal_is_a_warning_without_the_address(
    webhook: Webhook, caplog: pytest.LogCaptureFixture, answers: list[int], reason: str
) -> None:
    webhook.answers = answers
    assert notify(workflow="w", status="Failed", patience=0.5).result == "not-sent"
    assert reason in caplog.text and "127.0.0.1" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        (b"HTTP/1.1 404 there is no %s\r\n\r\n", "not-sent"),
        (b"HTTP/1.1 503 ask %s later\r\n\r\n", "not-sent"),
        (b"HTTP/1.1 799 %s\r\n\r\n", "not-sent"),
        (b"HTTP/1.1 200 OK\r\nwithout a colon %s\r\nA: b\r\n\r\n", "sent"),
    ],
)
def test_a_server_that_repeats_the_address_does_not_put_it_into_the_log(
    webhook: Webhook, caplog: pytest.LogCaptureFixture, raw: bytes, result: str
) -> None:
    caplog.set_level(logging.INFO)
    webhook.raw = raw
    assert notify(workflow="w", status="Failed", patience=0.5).result == result
    assert "127.0.0.1" in caplog.text and SECRET not in caplog.text


@pytest.mark.parametrize("space", ["\n", " ", "\r\n"])
def test_a_secret_that_ends_with_a_line_break(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    """As `echo URL | kubectl create secret ... --from-file` makes it."""
    monkeypatch.setenv(WEBHOOK, webhook.url + space)
    assert notify(workflow="w", status="Failed").result == "sent"
    assert webhook.paths == [f"/services/{SECRET}"]
    monkeypatch.setenv(WEBHOOK, space)
    assert notify(workflow="w", status="Failed").result == "no-webhook"


@pytest.mark.parametrize("patience", [-1, 0, 1e12, 1e300])
def test_no_patience_fails_the_handler(webhook: Webhook, patience: float) -> None:
    webhook.answers = [404]
    assert notify(workflow="w", status="Failed", patience=patience).result == "not-sent"


def test_a_webhook_that_sends_a_byte_now_and_then_is_given_up(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.drip = threading.Event()
    assert notify(workflow="w", status="Failed", patience=0.3).result == "not-sent"
    assert "did not answer within 0.3 s" in caplog.text


@pytest.mark.parametrize(
    "url",
    ["", "http://127.0.0.1:1/x", "no address", "http://[", "https://nowhere.invalid/x", "file:///etc/passwd"],
)
def test_an_address_that_leads_nowhere_fails_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(WEBHOOK, url)
    expected = "not-sent" if url else "no-webhook"
    assert notify(workflow="w", status="Succeeded", patience=0.5).result == expected
    assert url == "" or url not in caplog.text


def test_gates_and_versions_come_from_mlflow(webhook: Webhook, shared_stack: Stack) -> None:
    uri, model = shared_stack.endpoints().mlflow, "told-of"
    client = MlflowClient(uri, uri)
    registry.ensure_model(client, model)
    registry.ensure_model(client, f"{model}-onnx")
    run = client.create_run("0", tags={"workflow_uid": "uid-1"}).info.run_id
    client.log_metric(run, "best_val_accuracy", 0.9512)
    candidate = client.create_model_version(model, "s3://nowhere/model", run_id=run).version
    registry.set_version_tags(client, model, candidate, {"gate1.result": "passed", "gate1.reason": "better"})
    export = client.create_run("0").info.run_id
    client.log_metric(export, "validation_max_diff", 1.5e-6)
    for number in ("1", "2"):
        client.create_model_version(f"{model}-onnx", "s3://nowhere/model", run_id=export)
        registry.set_alias(client, f"{model}-onnx", "previous" if number == "1" else "live", number)
    tags = {"gate2.result": "passed", "pytorch.run_id": run}
    registry.set_version_tags(client, f"{model}-onnx", "2", tags)
    moves = [Move(7, "uid-1", took_over_from="1", previous_before="", at=now(), state="done")]
    write_history(client, registry.get_version(client, f"{model}-onnx", 2), moves)

    given = {"model_name": f"{model}-onnx", "mlflow_tracking_uri": uri}
    notify(workflow="w", status="Succeeded", owner="uid-1", form="json", **given)
    notify(workflow="w", status="Succeeded", owner="uid-1", **given)
    notify(workflow="w", status="Failed", owner="another", form="json", **given)
    told, slack, other = webhook.bodies
    assert told["gates"] == {
        "gate 1": {"result": "passed", "reason": "better", "best_val_accuracy": 0.9512},
        "gate 2": {"result": "passed", "max_diff": 1.5e-6},
    }
    assert told["versions"] == {"live_before": "1", "live": "2", "previous": "1", "triton_version": "7"}
    assert "best_val_accuracy 0.9512" in slack["text"] and "live before 1, live 2" in slack["text"]
    assert not {"gates", "versions", "notes"} & set(other)


def test_a_dead_or_hanging_mlflow_is_a_note(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    given = {"workflow": "w", "status": "Succeeded", "owner": "uid", "form": "json"}
    assert notify(**given, mlflow_tracking_uri="http://127.0.0.1:1").result == "sent"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert notify(**given, mlflow_tracking_uri=uri, patience=0.4).result == "sent"
    dead, hanging = (body["notes"] for body in webhook.bodies)
    assert dead[0].startswith("MLflow could not be asked: ")
    assert hanging == ["MLflow could not be asked: it did not answer within 0.4 s"]


def test_its_log_is_of_one_line(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    notify(workflow="w", status="Succeeded")
    assert [record.message for record in caplog.records] == ["told 127.0.0.1"]
