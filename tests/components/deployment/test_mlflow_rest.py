"""The registry over REST: it finds what MLflow's own client finds, on the same server."""

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.shared.mlflow_rest import MlflowRefused, RestClient, served_files, serves
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers


@pytest.fixture
def rest(servers: Servers) -> RestClient:
    """A client of the MLflow server."""
    return RestClient(servers.mlflow)


def test_it_finds_what_mlflow_finds(
    rest: RestClient, client: MlflowClient, register: Callable[[bytes], str], name: str
) -> None:
    for seed in (1, 2):
        register(models.conv_net(seed))
    client.set_model_version_tag(name, "1", "größe", "a=b\n'\"")
    theirs, ours = client.get_model_version(name, "1"), rest.get_model_version(name, "1")
    for field in ("name", "run_id", "source", "tags"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert ours.version == str(theirs.version)
    known = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    assert rest.get_registered_model(name).aliases == known == {"deploy": "2"}
    assert {v.version for v in rest.search_model_versions(f"name='{name}'")} == {"1", "2"}
    run, same = client.get_run(ours.run_id), rest.get_run(ours.run_id)
    assert same.data.metrics == run.data.metrics and same.data.tags == run.data.tags
    assert (same.info.run_name, same.info.lifecycle_stage) == (run.info.run_name, "active")


def test_it_moves_what_mlflow_moves(
    rest: RestClient, client: MlflowClient, register: Callable[[bytes], str], name: str
) -> None:
    register(models.conv_net(1))
    rest.set_registered_model_alias(name, "live", "1")
    rest.set_model_version_tag(name, "1", "key", "value {{x}}")
    assert client.get_registered_model(name).aliases["live"] in ("1", 1)
    assert client.get_model_version(name, "1").tags["key"] == "value {{x}}"
    rest.delete_registered_model_alias(name, "live")
    rest.delete_registered_model_alias(name, "live")
    rest.delete_model_version_tag(name, "1", "key")
    assert "live" not in client.get_registered_model(name).aliases
    assert "key" not in client.get_model_version(name, "1").tags


def test_what_is_not_there_is_told_as_by_mlflow(rest: RestClient, servers: Servers) -> None:
    with pytest.raises(MlflowRefused) as caught:
        rest.get_registered_model("nobody")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    client = registry.connect_lightly(servers.mlflow)
    assert registry.find_model(client, "nobody") is None
    assert registry.version_by_alias(client, "nobody", "live") is None
    with pytest.raises(StepError, match="could not find version 7 of model 'nobody'"):
        registry.get_version(client, "nobody", 7)


def test_more_versions_than_a_page(
    rest: RestClient, client: MlflowClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argosy.components.shared.mlflow_rest._PAGE", 2)
    client.create_registered_model(name)
    for _ in range(5):
        client.create_model_version(name, "s3://nowhere/model")
    assert sorted(v.version for v in rest.search_model_versions(f"name='{name}'")) == list("12345")


def test_files_come_as_they_were_logged(
    servers: Servers, register: Callable[[bytes], str], name: str, tmp_path: Path
) -> None:
    model = models.conv_net(1)
    version = register(model)
    served = served_files(servers.mlflow, name, version)
    assert served is not None
    assert served.sizes("")["model.onnx"] == len(model)
    served.download("model.onnx", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == model
    with pytest.raises(MlflowRefused, match="404"):
        served.download("nothing.onnx", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("uri", "variables", "answer"),
    [
        ("http://h:1", {}, True),
        ("https://u:p@h/path", {}, True),
        ("http://h", {"MLFLOW_TRACKING_TOKEN": "t"}, True),
        ("http://h", {"MLFLOW_TRACKING_AWS_SIGV4": "true"}, False),
        ("http://h", {"MLFLOW_TRACKING_AUTH": "plugin"}, False),
        ("sqlite:///x", {}, False),
        ("databricks", {}, False),
        ("http://", {}, False),
    ],
)
def test_what_it_serves(
    uri: str, variables: dict[str, str], answer: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert serves(uri) is answer


def test_a_file_of_credentials_is_left_to_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\n")
    assert not serves("http://h")


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent as authorization, after as many errors as the server still wants."""

    def do_GET(self) -> None:
        if self.server.errors:  # type: ignore[attr-defined]
            self.server.errors -= 1  # type: ignore[attr-defined]
            return self._answer(503, {})
        code = self.headers.get("Authorization", "")
        return self._answer(200, {"registered_model": {"aliases": [{"alias": "sent", "version": code}]}})

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror() -> Iterator[http.server.HTTPServer]:
    """A server that shows what it is sent."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Handler)
    server.errors = 0  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("user", "variables", "sent"),
    [
        ("", {}, ""),
        ("u:p@", {}, "Basic " + base64.b64encode(b"u:p").decode()),
        ("", {"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
        (
            "",
            {"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"},
            "Basic " + base64.b64encode(b"u:p").decode(),
        ),
    ],
)
def test_credentials_are_sent(
    mirror: http.server.HTTPServer,
    user: str,
    variables: dict[str, str],
    sent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    client = RestClient(f"http://{user}127.0.0.1:{mirror.server_port}")
    assert client.get_registered_model("m").aliases["sent"] == sent


def test_passing_errors_are_tried_again_and_others_are_not(
    mirror: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    client = RestClient(f"http://127.0.0.1:{mirror.server_port}")
    mirror.errors = 2  # type: ignore[attr-defined]
    assert client.get_registered_model("m").name == "m"
    mirror.errors = 3  # type: ignore[attr-defined]
    with pytest.raises(MlflowRefused, match="503"):
        client.get_registered_model("m")
    with pytest.raises(MlflowRefused, match="501"):
        client.create_registered_model("m")


def test_no_password_in_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StepError, match=r"http://\*\*\*@127\.0\.0\.1:9") as caught:
        registry.connect_lightly("http://user:hunter2@127.0.0.1:9")
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="empty"):
        registry.connect_lightly(" ")


def test_another_kind_of_server_is_told(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert requests.get(servers.triton + "/v2", timeout=10).ok
    with pytest.raises(StepError, match="does not answer"):
        registry.connect_lightly(servers.triton)
