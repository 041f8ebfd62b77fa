"""When a daemon is ready: its container's readiness probe, asked until it answers.

A probe asks as in Kubernetes, only more often; a daemon without one is ready as soon as it is started.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from argosy.errors import ManifestError
from argosy.local.errors import NodeError
from argosy.local.shape import expect_mapping, text_of

if TYPE_CHECKING:
    from argosy.local.pod import Pod

LOOPBACK = "127.0.0.1"
_PAUSE = 0.1  # seconds between two questions
_KINDS = ("httpGet", "tcpSocket", "exec")


@dataclass(frozen=True)
class Probe:
    """One question: a request, a connection or a program; `ports` are those that the container names."""

    kind: str
    body: Mapping[str, Any]
    timeout: float = 1.0
    ports: Mapping[str, int] = field(default_factory=dict)

    async def answered(self, pod: Pod) -> None:
        """Come back when the pod's program is ready. Raises NodeError for a question that cannot be put."""
        ask = {"httpGet": self._request, "tcpSocket": self._connection, "exec": self._program}[self.kind]
        while not await ask(pod):
            await asyncio.sleep(_PAUSE)

    async def _request(self, pod: Pod) -> bool:
        host, port = self._address(pod)
        path = pod.scope.render(text_of(self.body.get("path") or "/", "httpGet.path"))
        headers = {
            str(h["name"]): pod.scope.render(str(h["value"])) for h in self.body.get("httpHeaders") or ()
        }
        return await asyncio.to_thread(self._get, host, port, path, headers)

    def _get(self, host: str, port: int, path: str, headers: Mapping[str, str]) -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=self.timeout)
        if str(self.body.get("scheme") or "HTTP").upper() == "HTTPS":  # as in Kubernetes, nothing is verified
            unverified = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(host, port, timeout=self.timeout, context=unverified)
        try:
            connection.request("GET", path, headers=dict(headers))
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    async def _connection(self, pod: Pod) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(*self._address(pod)), self.timeout)
        except (OSError, TimeoutError, asyncio.TimeoutError):
            return False
        writer.close()
        return True

    async def _program(self, pod: Pod) -> bool:
        words = [pod.program.word(str(word), {}) for word in self.body.get("command") or ()]
        log = pod.log.with_name("probe.log")
        return await pod.program.asked(words, work=pod.work, log=log, limit=self.timeout) == 0

    def _address(self, pod: Pod) -> tuple[str, int]:
        port = pod.scope.render(str(self.body.get("port")))
        number = self.ports.get(port) or (int(port) if port.isdecimal() else None)
        if number is None:
            raise NodeError(f"readinessProbe: the container names no port '{port}'")
        return str(self.body.get("host") or LOOPBACK), number


def parse_probe(container: Mapping[str, Any], where: str) -> Probe | None:
    """A container's readinessProbe. Raises ManifestError for one that asks nothing that is known here."""
    raw = container.get("readinessProbe")
    if not raw:
        return None
    where = f"{where}.readinessProbe"
    body = expect_mapping(raw, where)
    kind = next((kind for kind in _KINDS if body.get(kind)), None)
    if kind is None:
        raise ManifestError(f"{where}: one of {', '.join(_KINDS)} is needed")
    ports = {
        str(p.get("name")): int(p["containerPort"]) for p in container.get("ports") or () if p.get("name")
    }
    return Probe(kind, expect_mapping(body[kind], where), float(body.get("timeoutSeconds") or 1), ports)
