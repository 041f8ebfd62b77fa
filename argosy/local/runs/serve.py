"""The server that keeps a run's page fresh while the run goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from argosy.errors import UsageError
from argosy.local.runs.page import page_data, render_page
from argosy.local.runs.record import Record

LOOPBACK = "127.0.0.1"


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[str]:
    """While inside: the page's address. Raises UsageError if the port is taken."""
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), partial(_Handler, folder))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="page", daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers two addresses, and only to who calls this machine by its own name."""

    def __init__(self, folder: Path, *args: object) -> None:
        self._folder = folder
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """The page, or its data."""
        name = self.headers.get("Host", "").rpartition(":")[0]
        if name not in (LOOPBACK, "localhost"):  # another site's name that was pointed at this machine
            self._answer(403, "text/plain", "this page is for this machine\n")
        elif self.path == "/":
            self._answer(200, "text/html", render_page(Record.read(self._folder)))
        elif self.path == "/data.json":
            data = json.dumps(page_data(Record.read(self._folder)), ensure_ascii=False)
            self._answer(200, "application/json", data)
        else:
            self._answer(404, "text/plain", "there is / and /data.json\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal shows the run."""
