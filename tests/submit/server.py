"""A server that speaks the Kubernetes API and Argo Server's, over sockets, with faults on demand."""

import contextlib
import json
import queue
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.submit.store import Object, Refused, Store

TOKEN = "token-of-a-developer"
VIEWER = "token-of-a-viewer"
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 422: 3, 503: 14}
_KUBERNETES = re.compile(
    r"/(?:apis/argoproj\.io/v1alpha1|api/v1)(?:/namespaces/(?P<ns>[^/]+))?"
    r"/(?P<plural>workflows|workflowtemplates|cronworkflows|clusterworkflowtemplates|secrets)"
    r"(?:/(?P<name>[^/]+))?"
)
_ARGO = re.compile(
    r"/api/v1/(?P<path>workflows|workflow-templates|cron-workflows|workflow-events)/(?P<ns>[^/]+)"
    r"(?:/(?P<name>[^/]+))?"
)
_ARGO_KEYS = {"workflows": "workflow", "workflow-templates": "template", "cron-workflows": "cronWorkflow"}


@dataclass
class Server:
    """A running server.

    Attributes:
        store: its objects.
        faults: what happens to the next requests, first to first: a status to answer with, "refuse"
            (closed before anything was done), "lose" (done, and closed before the answer); None: nothing.
        requests: method and path of each, without the query.
        argo: whether Argo's kinds are installed.
        stream_limit: events until a stream is cut, or None.
    """

    url: str
    store: Store = field(default_factory=Store)
    faults: list[int | str | None] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    argo: bool = True
    may_watch: bool = True
    stream_limit: int | None = None
    wrong_answer: bytes | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def posts(self) -> int:
        """How many POST requests came."""
        return sum(method == "POST" for method, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self) -> None:
        url = urlsplit(self.path)
        self.state.requests.append((self.command, url.path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.state.faults.pop(0) if self.state.faults else None
        if fault == "refuse":
            return self._hang_up()
        if isinstance(fault, int):
            return self._answer(fault, {"kind": "Status", "message": f"a fault of {fault}", "code": fault})
        if self.state.wrong_answer is not None:
            return self._answer(200, self.state.wrong_answer)
        try:
            self._check_token()
            answer = self._route(url.path, parse_qs(url.query), json.loads(body or b"{}"))
        except Refused as refused:
            return self._refuse(refused)
        if fault == "lose":
            return self._hang_up()
        if answer is not None:
            self._answer(200 if self.command != "POST" else 201, answer)
        return None

    do_GET = do_POST = do_PUT = _handle

    def _check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in (TOKEN, VIEWER):
            raise Refused(401, "Unauthorized", "Unauthorized")
        if token == VIEWER and self.command != "GET":
            message = 'workflows.argoproj.io is forbidden: User "viewer" cannot create resource "workflows"'
            raise Refused(403, "Forbidden", message)

    def _route(self, path: str, query: dict[str, list[str]], body: Object) -> Object | None:
        if match := _ARGO.fullmatch(path):
            return self._argo(match, query, body)
        match = _KUBERNETES.fullmatch(path)
        if match is None or not self.state.argo:
            raise Refused(404, "", "404 page not found")
        plural, namespace, name = match["plural"], match["ns"] or "", match["name"]
        if self.command == "GET" and "watch" in query:
            self._stream(namespace, query, lambda event: event)
            return None
        return self._act(plural, namespace, name, body)

    def _argo(self, match: re.Match[str], query: dict[str, list[str]], body: Object) -> Object | None:
        namespace, name = match["ns"], match["name"]
        if match["path"] == "workflow-events":
            self._stream(namespace, query, lambda event: {"result": event}, prefix=b"data: ")
            return None
        return self._act(
            match["path"].replace("-", ""), namespace, name, body.get(_ARGO_KEYS[match["path"]], {})
        )

    def _act(self, plural: str, namespace: str, name: str | None, body: Object) -> Object:
        if self.command == "POST":
            return self.state.store.create(plural, namespace, body)
        if self.command == "PUT":
            return self.state.store.replace(plural, namespace, name or "", body)
        return self.state.store.get(plural, namespace, name or "")

    def _stream(self, namespace: str, query: dict[str, list[str]], wrap: Any, prefix: bytes = b"") -> None:
        if not self.state.may_watch:
            raise Refused(403, "Forbidden", 'cannot watch resource "workflows"')
        selector = (query.get("fieldSelector") or query["listOptions.fieldSelector"])[0]
        version = int((query.get("resourceVersion") or query["listOptions.resourceVersion"])[0])
        name = selector.removeprefix("metadata.name=")
        events: queue.Queue[tuple[str, Object] | None] = queue.Queue()
        self.state.store.watchers.append(events)
        now = self.state.store.objects.get(("workflows", namespace, name))
        if now and int(now["metadata"]["resourceVersion"]) > version:
            events.put(("MODIFIED", now))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while not self.state.stopping.is_set() and sent != self.state.stream_limit:
            with contextlib.suppress(queue.Empty):
                event = events.get(timeout=0.05)
                if event and event[1]["metadata"]["name"] == name:
                    line = prefix + json.dumps(wrap({"type": event[0], "object": event[1]})).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    self.wfile.flush()
                    sent += 1
        self.state.store.watchers.remove(events)
        self._hang_up()

    def _refuse(self, refused: Refused) -> None:
        if refused.message == "404 page not found":
            return self._answer(404, b"404 page not found\n")
        if _ARGO.fullmatch(urlsplit(self.path).path):
            body = {"code": _GRPC_CODES[refused.status], "message": refused.message}
            return self._answer(400 if refused.status == 422 else refused.status, body)
        status = {"kind": "Status", "status": "Failure", "message": refused.message, "reason": refused.reason}
        return self._answer(refused.status, {**status, "details": refused.details, "code": refused.status})

    def _answer(self, status: int, body: Object | bytes) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients hang up in these tests."""


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[Server]:
    """A server on a free port of this machine, with TLS if there is a certificate (with its key)."""
    state = Server("")
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Quiet(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
