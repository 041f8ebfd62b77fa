"""A server that speaks the Kubernetes API and Argo Server's, over sockets, with faults on demand."""

import contextlib
import json
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cluster.store import Object, Refused, Store

TOKEN = "token-of-a-developer"
VIEWER = "token-of-a-viewer"
_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 422: 3, 503: 14}
_KUBERNETES = re.compile(
    r"/(?:apis/argoproj\.io/v1alpha1|api/v1)(?:/namespaces/(?P<ns>[^/]+))?"
    r"/(?P<plural>workflows|workflowtemplates|cronworkflows|clusterworkflowtemplates|secrets|configmaps|pods"
    r"|events)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)
_ARGO = re.compile(
    r"/api/v1/(?P<path>workflows|workflow-templates|cron-workflows|workflow-events|stream/events)"
    r"/(?P<ns>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<verb>log|stop|retry|resume))?"
)
_ARTIFACT = re.compile(
    r"/artifact-files/(?P<ns>[^/]+)/workflows/(?P<wf>[^/]+)/(?P<node>[^/]+)/outputs/main-logs"
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
        stream_seconds: until Argo Server ends a stream, as it does after a minute.
        heartbeat: seconds between the empty lines that it writes into an event stream.
        forbidden: collections that nobody may read.
    """

    url: str
    store: Store = field(default_factory=Store)
    faults: list[int | str | None] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    argo: bool = True
    may_watch: bool = True
    stream_limit: int | None = None
    stream_seconds: float = 60.0
    heartbeat: float = 0.02
    forbidden: tuple[str, ...] = ()
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

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def _check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in (TOKEN, VIEWER):
            raise Refused(401, "Unauthorized", "Unauthorized")
        if token == VIEWER and self.command != "GET":
            message = 'workflows.argoproj.io is forbidden: User "viewer" cannot create resource "workflows"'
            raise Refused(403, "Forbidden", message)

    def _route(self, path: str, query: dict[str, list[str]], body: Object) -> Object | None:
        if match := _ARTIFACT.fullmatch(path):
            self._archived(match["ns"], match["wf"], match["node"])
            return None
        if match := _ARGO.fullmatch(path):
            return self._argo(match, query, body)
        match = _KUBERNETES.fullmatch(path)
        if match is None or not self.state.argo:
            raise Refused(404, "", "404 page not found")
        plural, namespace, name = match["plural"], match["ns"] or "", match["name"]
        if plural in self.state.forbidden:
            raise Refused(403, "Forbidden", f'{plural} is forbidden: User "me" cannot read "{plural}"')
        if match["log"]:
            self._log(namespace, name, query)
            return None
        if self.command == "GET" and "watch" in query:
            self._stream("workflows", namespace, query, lambda event: json.dumps(event).encode() + b"\n")
            return None
        if self.command == "GET" and name is None:
            fields, labels = (query.get(f"{key}Selector", [""])[0] for key in ("field", "label"))
            return _page(self.state.store.list(plural, namespace, fields, labels), query)
        return self._act(plural, namespace, name, body)

    def _argo(self, match: re.Match[str], query: dict[str, list[str]], body: Object) -> Object | None:
        namespace, name, store = match["ns"], match["name"], self.state.store
        if match["path"] in ("workflow-events", "stream/events"):
            plural = "workflows" if match["path"] == "workflow-events" else "events"
            self._stream(plural, namespace, query, self._result, argo=True)
            return None
        if match["verb"] == "log":
            self._argo_log(namespace, query)
            return None
        if match["verb"]:
            if self.command != "PUT":
                raise Refused(405, "", "Method Not Allowed")
            return store.control(match["verb"], namespace, name, body)
        if match["path"] == "workflows" and self.command == "GET":
            if "workflows" in self.state.forbidden:
                raise Refused(403, "Forbidden", 'workflows is forbidden: User "me" cannot list resource')
            if name is not None:
                return store.archived_workflow(namespace, name)
            labels = query.get("listOptions.labelSelector", [""])[0]
            return _page(store.list_with_archive(namespace, labels), query, "listOptions.")
        return self._act(
            match["path"].replace("-", ""), namespace, name, body.get(_ARGO_KEYS[match["path"]], {})
        )

    @property
    def _is_event_stream(self) -> bool:
        return self.headers.get("Accept", "") == "text/event-stream"

    def _result(self, event: Object) -> bytes:
        """Argo Server's two forms: an event stream to whoever accepts one, lines of JSON to anybody else."""
        line = json.dumps({"result": event}).encode()
        return b"data: " + line + b"\n\n" if self._is_event_stream else line + b"\n"

    def _act(self, plural: str, namespace: str, name: str | None, body: Object) -> Object:
        if self.command == "POST":
            return self.state.store.create(plural, namespace, body)
        if self.command == "PUT":
            return self.state.store.replace(plural, namespace, name or "", body)
        if self.command == "DELETE":
            return self.state.store.delete(plural, namespace, name or "")
        if self.command == "PATCH":
            if self.headers.get("Content-Type") != "application/merge-patch+json":
                raise Refused(415, "UnsupportedMediaType", "the media type is not one of the patches'")
            return self.state.store.merge(plural, namespace, name or "", body)
        return self.state.store.get(plural, namespace, name or "")

    def _log(self, namespace: str, pod: str, query: dict[str, list[str]]) -> None:
        store = self.state.store
        store.get("pods", namespace, pod)
        container = query["container"][0]
        if (namespace, pod, container) not in store.logs:
            raise Refused(400, "BadRequest", f"container {container} is not valid for pod {pod}")
        self._begin("text/plain")
        for line in self._lines_of(namespace, pod, container, query.get("tailLines"), "follow" in query):
            self._chunk(line)
        self._end()

    def _argo_log(self, namespace: str, query: dict[str, list[str]]) -> None:
        pod, container = query["podName"][0], query["logOptions.container"][0]
        self._begin("text/event-stream" if self._is_event_stream else "application/json")
        if ("pods", namespace, pod) in self.state.store.objects:
            tail, on = query.get("logOptions.tailLines"), "logOptions.follow" in query
            for line in self._lines_of(namespace, pod, container, tail, on):
                self._chunk(self._result({"content": line.decode().rstrip("\n"), "podName": pod}))
        self._end()

    def _lines_of(
        self, namespace: str, pod: str, container: str, tail: list[str] | None, on: bool
    ) -> Iterator[bytes]:
        store, sent = self.state.store, 0
        while not self.state.stopping.is_set():
            found = store.objects.get(("pods", namespace, pod))
            ended = found is None or found["status"]["phase"] in ("Succeeded", "Failed")
            lines = store.logs[namespace, pod, container].encode().splitlines(keepends=True)
            if not sent and tail:
                sent = max(0, len(lines) - int(tail[0]))
            yield from lines[sent:]
            sent = len(lines)
            if ended or not on:
                return
            self.state.stopping.wait(0.01)

    def _archived(self, namespace: str, workflow: str, node: str) -> None:
        try:
            content = self.state.store.archived[namespace, workflow, node].encode()
        except KeyError:
            raise Refused(404, "NotFound", "Not Found") from None
        self._answer(200, content)

    def _begin(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _stream(
        self, plural: str, namespace: str, query: dict[str, list[str]], form: Any, *, argo: bool = False
    ) -> None:
        if not self.state.may_watch:
            raise Refused(403, "Forbidden", 'cannot watch resource "workflows"')
        prefix = "listOptions." if argo else ""
        selector = query[f"{prefix}fieldSelector"][0]
        version = int(query.get(f"{prefix}resourceVersion", ["0"])[0] or 0)
        events: queue.Queue[tuple[str, Object] | None] = queue.Queue()
        self.state.store.watchers.append(events)
        for now in self._present(plural, namespace, selector):
            if int(now["metadata"]["resourceVersion"]) > version:
                events.put(("MODIFIED" if version else "ADDED", now))
        self._begin("text/event-stream" if argo and self._is_event_stream else "application/json")
        sent, until = 0, time.monotonic() + self.state.stream_seconds
        while not self.state.stopping.is_set() and sent != self.state.stream_limit:
            if argo and time.monotonic() >= until:
                self.state.store.watchers.remove(events)
                self._end()
                return
            try:
                event = events.get(timeout=self.state.heartbeat)
            except queue.Empty:
                if argo and self._is_event_stream:
                    self._chunk(b"\n")
                continue
            if event and _is_selected(event[1], plural, selector):
                # Argo Server sends Kubernetes' events as they are, and workflows with what happened to them.
                kind, body = event
                self._chunk(form(body if plural == "events" else {"type": kind, "object": body}))
                sent += 1
        self.state.store.watchers.remove(events)
        self._hang_up()

    def _present(self, plural: str, namespace: str, selector: str) -> list[Object]:
        store = self.state.store
        if plural == "events":
            found: list[Object] = store.list(plural, namespace, selector)["items"]
            return found
        now = store.objects.get((plural, namespace, selector.removeprefix("metadata.name=")))
        return [now] if now else []

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


def _page(found: Object, query: dict[str, list[str]], prefix: str = "") -> Object:
    """A part of a list, as `limit` and `continue` ask for it."""
    limit = int(query.get(f"{prefix}limit", ["0"])[0])
    first = int(query.get(f"{prefix}continue", ["0"])[0])
    end = first + limit if limit else len(found["items"])
    more = {"continue": str(end)} if end < len(found["items"]) else {}
    return {**found, "metadata": more, "items": found["items"][first:end]}


def _is_selected(body: Object, plural: str, selector: str) -> bool:
    if plural == "events":
        return body["kind"] == "Event" and selector.endswith(f"name={body['involvedObject']['name']}")
    return bool(
        body["kind"] == "Workflow" and body["metadata"]["name"] == selector.removeprefix("metadata.name=")
    )


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
