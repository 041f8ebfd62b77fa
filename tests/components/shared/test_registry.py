"""The registry's helpers on a registry of SQLite; the steps' own tests use them on a server."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.errors import ArgosyError, StepError, UsageError

NAME = "a model's name"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
    """A fresh registry with one model of two versions; the first has the alias `deploy`."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    client = registry.connect(f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db")
    run = client.create_run(client.create_experiment("e", artifact_location="/nowhere"))
    registry.ensure_model(client, NAME)
    for run_id in (run.info.run_id, None):
        client.create_model_version(NAME, "/nowhere/model", run_id=run_id)
    registry.set_alias(client, NAME, "deploy", 1)
    client.log_metric(run.info.run_id, "accuracy", 0.5)
    client.log_metric(run.info.run_id, "accuracy", 0.75)
    client.log_metric(run.info.run_id, "broken", float("nan"))
    yield client
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def _run_id(client: MlflowClient) -> str:
    run_id = client.get_model_version(NAME, "1").run_id
    assert run_id
    return run_id


def _number(version: ModelVersion | None) -> str | None:
    return None if version is None else str(version.version)


@pytest.mark.parametrize(
    ("name", "alias", "version"),
    [(NAME, "deploy", "1"), (NAME, "champion", None), ("no model", "deploy", None)],
)
def test_a_version_by_alias(client: MlflowClient, name: str, alias: str, version: str | None) -> None:
    assert _number(registry.version_by_alias(client, name, alias)) == version


@pytest.mark.parametrize(
    ("source", "version"), [("alias:deploy", "1"), ("version:1", "1"), ("version:2", "2")]
)
def test_sources(client: MlflowClient, source: str, version: str) -> None:
    assert _number(registry.resolve(client, NAME, source)) == version


@pytest.mark.parametrize(
    "source", ["", "deploy", "alias:", "alias: deploy", "alias:a/b", "version:", "version:0", "version:-1",
               "version:two", "version:1.0", "Alias:deploy", "alias:deploy\n", "run:abc"]
)  # fmt: skip
def test_other_sources_are_refused(client: MlflowClient, source: str) -> None:
    with pytest.raises(UsageError, match="is neither 'alias:NAME'"):
        registry.resolve(client, NAME, source)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        (NAME, "alias:live", "has no alias 'live'; its aliases: deploy"),
        (NAME, "version:3", "could not find version 3"),
        ("no model", "alias:deploy", "has no registered model 'no model'"),
        ("a/b", "alias:deploy", "could not read registered model 'a/b'"),
    ],
)
def test_what_a_source_does_not_find(client: MlflowClient, name: str, source: str, message: str) -> None:
    with pytest.raises(StepError, match=message):
        registry.resolve(client, name, source)


def test_the_version_of_a_run(client: MlflowClient) -> None:
    run_id = _run_id(client)
    assert _number(registry.version_of_run(client, NAME, run_id)) == "1"
    assert registry.version_of_run(client, "another", run_id) is None
    assert registry.version_of_run(client, NAME, "0" * 32) is None


def test_metrics(client: MlflowClient) -> None:
    run_id = _run_id(client)
    assert registry.run_metric(client, run_id, "accuracy") == 0.75
    with pytest.raises(StepError, match="has no metric 'acuracy'; it logged: accuracy, broken"):
        registry.run_metric(client, run_id, "acuracy")
    with pytest.raises(StepError, match=r"metric 'broken' .* is nan"):
        registry.run_metric(client, run_id, "broken")
    with pytest.raises(StepError, match="could not find run 'nothing'"):
        registry.run_metric(client, "nothing", "accuracy")


def test_a_model_is_made_once(client: MlflowClient) -> None:
    registry.ensure_model(client, NAME)
    registry.ensure_model(client, "another one")
    assert registry.find_model(client, "another one") is not None


def test_an_alias_moves_and_tags_are_text(client: MlflowClient) -> None:
    registry.set_alias(client, NAME, "live", "1")
    registry.set_alias(client, NAME, "live", 2)
    assert _number(registry.version_by_alias(client, NAME, "live")) == "2"
    client.delete_registered_model_alias(NAME, "live")
    registry.set_version_tags(client, NAME, 2, {"accuracy": 0.5, "note": "x"})
    assert registry.get_version(client, NAME, 2).tags == {"accuracy": "0.5", "note": "x"}
    with pytest.raises(StepError, match=r"could not set alias 'live' .* to version 9"):
        registry.set_alias(client, NAME, "live", 9)


def test_what_is_not_there_is_none_and_stays_away(client: MlflowClient) -> None:
    assert _number(registry.find_version(client, NAME, "1")) == "1"
    assert registry.find_version(client, NAME, "9") is None
    registry.delete_alias(client, NAME, "never-set")
    registry.set_version_tags(client, NAME, 1, {"a": 1, "b": 2})
    version = registry.get_version(client, NAME, 1)
    registry.delete_version_tags(client, version, ("a", "never-set"))
    assert registry.get_version(client, NAME, 1).tags == {"b": "2"}


def test_all_versions_oldest_first(client: MlflowClient) -> None:
    registry.ensure_model(client, "many")
    for _ in range(11):
        client.create_model_version("many", "/nowhere/model", await_creation_for=0)
    registry.set_version_tags(client, "many", 11, {"newest": "yes"})
    found = registry.all_versions(client, "many")
    assert [_number(version) for version in found] == [str(number) for number in range(1, 12)]
    assert found[-1].tags == {"newest": "yes"}
    assert registry.all_versions(client, "none") == []


class Failing(BaseHTTPRequestHandler):
    """Answers every request in one bad way, and counts them."""

    tries: int = 0
    status: int = 200

    def do_POST(self) -> None:
        type(self).tries += 1
        if self.status == 0:
            time.sleep(1.5)
            return
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("status", "tries"), [(503, 3), (500, 3), (429, 3), (0, 3), (400, 1), (403, 1), (404, 1)]
)  # 0: no answer within the time that a client waits
@pytest.mark.parametrize("connect", [registry.connect, registry.connect_lightly])
def test_only_what_may_pass_is_tried_again(
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    connect: Callable[[str], MlflowClient],
    status: int,
    tries: int,
) -> None:
    settings = {"MAX_RETRIES": "2", "BACKOFF_FACTOR": "0", "BACKOFF_JITTER": "0", "TIMEOUT": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    before = mlflow.get_tracking_uri()
    failing = type("Failing", (Failing,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(StepError, match="does not answer"):
                connect(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            mlflow.set_tracking_uri(before)
            mlflow.set_registry_uri(before)
    assert failing.tries == tries


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        ("", UsageError, "mlflow_tracking_uri is empty"),
        ("  ", UsageError, "mlflow_tracking_uri is empty"),
        ("htp://mlflow", UsageError, "is no MLflow server's address"),
        ("http://127.0.0.1:9", StepError, r"MLflow at http://127\.0\.0\.1:9 does not answer \(.*refused\)"),
        ("http://no.such.host.invalid", StepError, "does not answer"),
    ],
)
def test_no_server(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, uri: str, error: type[ArgosyError], message: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    before = mlflow.get_tracking_uri()
    with pytest.raises(error, match=message) as caught:
        registry.connect(uri)
    assert "\n" not in str(caught.value)
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


def test_a_password_is_never_shown(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    with pytest.raises(StepError) as caught:
        registry.connect("http://user:secret@127.0.0.1:9/path")
    assert "secret" not in str(caught.value)
    assert "http://***@127.0.0.1:9/path" in str(caught.value)
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(before)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://h:1/p", "http://h:1/p"),
        ("http://u:p@h:1/p", "http://***@h:1/p"),
        ("sqlite:////a@b", "sqlite:////a@b"),
    ],
)
def test_redacted(uri: str, shown: str) -> None:
    assert registry.redacted(uri) == shown


def test_the_environment_wins_over_our_settings() -> None:
    code = (
        "import argosy.components.shared.registry, mlflow.environment_variables as e;"
        "print(e.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), e.MLFLOW_HTTP_REQUEST_TIMEOUT.get())"
    )
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_HTTP")}

    def ask(**extra: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", code], env={**plain, **extra}, capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    assert ask() == "3 30"
    assert ask(MLFLOW_HTTP_REQUEST_TIMEOUT="7") == "3 7"
