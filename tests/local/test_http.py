"""http templates, against a server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from argosy.local.kept import SECRET, Kept, Source
from tests.local.conftest import Run, log, node, phases


class _Handler(BaseHTTPRequestHandler):
    """Tells what it was asked; fails at `/flaky` once, and at `/missing` always."""

    asked: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        told = f"{self.command} {self.path} {self.headers.get('X-Token')} {body}"
        self.asked.append(told)
        bad = self.path == "/missing" or (self.path == "/flaky" and len(self.asked) == 1)
        self.send_response(404 if bad else 200)
        self.send_header("X-Kind", "test")
        self.end_headers()
        self.wfile.write(told.encode())

    do_GET = do_POST

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """Its address."""
    handler = type("Handler", (_Handler,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def spec(address: str, path: str = "/a", rest: str = "", retry: str = "") -> str:
    return f"""
templates:
- name: main
  dag:
    tasks:
    - {{name: a, template: a, arguments: {{parameters: [{{name: w, value: words}}]}}}}
    - name: b
      depends: a
      template: echo
      arguments: {{parameters: [{{name: m, value: "{{{{tasks.a.outputs.result}}}}"}}]}}
- name: a
  {retry}
  inputs: {{parameters: [{{name: w}}]}}
  http: {{url: "{address}{path}", {rest}}}
"""


def test_the_body_is_the_result(run: Run, server: str) -> None:
    rest = (
        'method: POST, body: "{{inputs.parameters.w}}",'
        "headers: [{name: X-Token, valueFrom: {secretKeyRef: {name: s, key: k}}}]"
    )
    result = run(spec(server, rest=rest), kept=Kept({Source(SECRET, "s", "k"): "secret"}))
    assert log(result, "b") == "POST /a secret words\n"
    assert node(result, "a").kind == "HTTP"


@pytest.mark.parametrize(
    ("path", "condition", "phase", "message"),
    [
        ("/missing", "", "Failed", "received non-2xx response code: 404"),
        ("/missing", "response.statusCode == 404", "Succeeded", ""),
        ("/a", "response.body contains 'nothing'", "Failed", "evaluated false"),
        ("/a", "response.headers['X-Kind'][0] == 'test'", "Succeeded", ""),
        ("/a", "response.state", "Error", "response.state"),
    ],
)
def test_the_answer_is_judged(
    run: Run, server: str, path: str, condition: str, phase: str, message: str
) -> None:
    rest = f'successCondition: "{condition}"' if condition else ""
    found = node(run(spec(server, path, rest)), "a")
    assert (found.phase.value, message in found.message) == (phase, True), found.message


def test_a_failure_is_retried(run: Run, server: str) -> None:
    result = run(spec(server, "/flaky", retry="retryStrategy: {limit: 2}"))
    assert [attempt.phase.value for attempt in node(result, "a").attempts] == ["Failed", "Succeeded"]


def test_no_answer_is_an_error(run: Run) -> None:
    result = run(spec("http://127.0.0.1:9"))
    assert (phases(result)["a"], "GET http://127.0.0.1:9/a" in node(result, "a").message) == ("Error", True)


def test_a_secret_that_nobody_gives_is_named(run: Run, server: str) -> None:
    rest = "headers: [{name: X, valueFrom: {secretKeyRef: {name: s, key: k}}}]"
    assert "key 'k' of the secret 's'" in node(run(spec(server, rest=rest)), "a").message
