"""What a registry answers, and what becomes of it: tokens, quotas, limits, faults that pass."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from argosy.code.images import BuildError, Missing
from argosy.code.images import registry as module
from argosy.code.images.layers import Blob
from argosy.code.images.reference import Reference
from argosy.code.images.registry import Credential, Registry

DIGEST = "sha256:" + "0" * 64


class Answers(ThreadingHTTPServer):
    """A registry that answers as it is told; tokens are given to ann with the password sesame.

    Attributes:
        told: status, headers and body of the next answers, the last one for ever.
        scopes: what tokens were asked for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[tuple[int, dict[str, str], bytes]] = [(200, {}, b"{}")]
        self.scopes: list[list[str]] = []
        self.wants_token = False
        self.requests: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def tell(self, status: int, code: str = "", message: str = "") -> None:
        """Answer with an error of the registry's."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode() if code else b""
        self.told = [(status, {}, body)]


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Answers
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path == "/token":
            self._give_token(parse_qs(parts.query)["scope"])
        elif self.server.wants_token and self.headers.get("Authorization") != "Bearer good":
            realm = f'Bearer realm="http://{self.server.host}/token",service="tests"'
            self._answer(401, {"WWW-Authenticate": realm}, b"")
        else:
            self.server.requests.append(f"{self.command} {self.path}")
            told = self.server.told
            self._answer(*(told.pop(0) if len(told) > 1 else told[0]))

    def _give_token(self, scopes: list[str]) -> None:
        self.server.scopes.append(scopes)
        good = "Basic " + base64.b64encode(b"ann:sesame").decode()
        if self.headers.get("Authorization") == good:
            self._answer(200, {}, b'{"token": "good"}')
        else:
            self._answer(401, {}, b"")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _handle


@pytest.fixture
def answers() -> Iterator[Answers]:
    """A registry that answers as it is told."""
    with Answers() as one:
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one
        one.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for between attempts."""
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.0)


def client(answers: Answers, secret: str | None = None) -> tuple[Registry, Reference]:
    """A client that logs in as ann, and an image."""
    ann = Credential("ann", secret, "a test") if secret else None
    registry = Registry(answers.host, plain=True, credentials=lambda host: ann)
    return registry, Reference.parse(f"{answers.host}/team/app:1")


def test_a_token_is_asked_for_with_the_password_once_for_each_right(answers: Answers) -> None:
    answers.wants_token = True
    registry, image = client(answers, "sesame")
    for _ in range(2):
        registry.manifest(image)
    assert registry.has(image, DIGEST)
    assert answers.scopes == [["repository:team/app:pull"], ["repository:team/app:pull,push"]]


def test_mounting_asks_for_both_repositories(answers: Answers) -> None:
    answers.wants_token = True
    answers.told = [(201, {}, b"")]
    registry, image = client(answers, "sesame")
    source = Reference.parse(f"{answers.host}/base/python:3")
    assert registry.mount(image, DIGEST, source) is None
    assert answers.scopes == [["repository:team/app:pull,push", "repository:base/python:pull"]]


def test_a_password_that_is_refused_is_told_apart_from_none(answers: Answers) -> None:
    answers.wants_token = True
    with pytest.raises(BuildError, match=r"not logged in to .*: run 'docker login"):
        client(answers)[0].manifest(client(answers)[1])
    with pytest.raises(BuildError, match="refuses 'ann' with the password from a test: log in again"):
        client(answers, "wrong")[0].manifest(client(answers)[1])


@pytest.mark.parametrize(
    ("status", "code", "text", "message"),
    [
        (
            403,
            "DENIED",
            "no push access",
            "does not allow whoever is not logged in to do this: .*no push access",
        ),
        (403, "DENIED", "project quota exceeded", "has no room for it .*project quota exceeded"),
        (413, "", "", "has no room for it"),
        (507, "", "", "has no room for it"),
        (
            429,
            "TOOMANYREQUESTS",
            "pull rate limit",
            "allows no more requests for now .*pull rate limit.*log in",
        ),
        (500, "UNKNOWN", "disk fell off", "answers 500 to GET team/app/blobs/.*"),
        (418, "", "", "answers 418 to GET"),
    ],
)
def test_each_refusal_is_one_line(answers: Answers, status: int, code: str, text: str, message: str) -> None:
    answers.tell(status, code, text)
    registry, image = client(answers)
    with pytest.raises(BuildError, match=message) as caught:
        registry.blob(image, DIGEST)
    assert "\n" not in str(caught.value)


def test_a_fault_that_passes_is_tried_again(answers: Answers) -> None:
    answers.told = [(503, {}, b""), (502, {}, b""), (200, {}, b"here")]
    registry, image = client(answers)
    assert registry.blob(image, DIGEST) == b"here"
    assert len(answers.requests) == 3


def test_an_upload_that_fails_begins_anew(answers: Answers) -> None:
    opened = {"Location": "/v2/team/app/blobs/uploads/1?state=x"}
    answers.told = [(202, opened, b""), (500, {}, b""), (202, opened, b""), (201, {}, b"")]
    registry, image = client(answers)
    blob = Blob.of(b"data")
    registry.upload(image, blob)
    assert [r.partition(" ")[0] for r in answers.requests] == ["POST", "PUT", "POST", "PUT"]
    assert answers.requests[1].endswith(f"uploads/1?state=x&digest=sha256%3A{blob.digest[7:]}")
    assert registry.sent == 4


def test_what_is_not_there_is_told_apart_from_what_fails(answers: Answers) -> None:
    answers.tell(404, "MANIFEST_UNKNOWN", "unknown")
    registry, image = client(answers)
    assert not registry.has(image, DIGEST)
    assert registry.digest(image) is None
    with pytest.raises(Missing, match=f"there is no image '{answers.host}/team/app:1'"):
        registry.manifest(image)


def test_an_answer_that_is_no_registrys_is_named(answers: Answers) -> None:
    answers.told = [(202, {}, b"")]
    registry, image = client(answers)
    with pytest.raises(BuildError, match="opened no upload: it is no registry, or a proxy is in the way"):
        registry.upload(image, Blob.of(b"data"))


def test_a_password_does_not_travel_in_the_open(answers: Answers) -> None:
    registry, _ = client(answers, "sesame")
    registry._plain = False
    registry._credential, registry._asked = Credential("ann", "sesame", "a test"), True
    with pytest.raises(BuildError, match="which has no TLS"):
        registry._token({"realm": f"http://{answers.host}/token"}, "x")
    assert answers.scopes == []
