"""Daemons: programs that the steps after them use, until the template that started them ends.

One is ready when its container's readiness probe answers, which is asked as in Kubernetes, only more often;
without a probe it is ready as soon as it is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from argosy.errors import ManifestError
from argosy.local.errors import NodeError
from argosy.local.job import Outcome
from argosy.local.model import Probe
from argosy.local.node import Phase
from argosy.manifest.scalars import as_text

if TYPE_CHECKING:
    from argosy.local.pod import Pod


LOOPBACK = "127.0.0.1"
_PAUSE = 0.1  # seconds between two questions
_PROBES = ("httpGet", "tcpSocket", "exec")


class Daemons:
    """The daemons of a run, by the name of the DAG or steps node that they belong to."""

    def __init__(self) -> None:
        self._running: dict[str, list[asyncio.Task[Outcome]]] = {}

    async def started(self, owner: str, pod: Pod, limit: float | None) -> Outcome:
        """Start one; it is over for the steps after it when it is ready. One that ends before has failed.

        As in Argo, how it ends afterwards changes nothing. Raises NodeError.
        """
        running = asyncio.ensure_future(pod.run(limit))
        ready = asyncio.ensure_future(self._ready(pod))
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            ready.result()
        except BaseException:
            await _stop([running])
            raise
        finally:
            await _stop([ready])
        self._running.setdefault(owner, []).append(running)
        return Outcome(Phase.SUCCEEDED)

    async def end(self, owner: str) -> None:
        """Stop the daemons of a node that has ended, the last first."""
        while found := self._running.pop(owner, []):
            await asyncio.shield(_stop(found[::-1]))

    async def _ready(self, pod: Pod) -> None:
        await pod.started.wait()
        if (probe := pod.container.ready) is not None:
            await _Question(probe, pod).answered()


async def _stop(tasks: list[asyncio.Task[Outcome]] | list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Question:
    """A probe as it is put to the program of one pod."""

    def __init__(self, probe: Probe, pod: Pod) -> None:
        self._probe, self._body, self._pod = probe, probe.body, pod

    async def answered(self) -> None:
        """Come back when the program is ready. Raises NodeError for a question that cannot be put."""
        kinds = {"httpGet": self._request, "tcpSocket": self._connection, "exec": self._program}
        while not await kinds[self._probe.kind]():
            await asyncio.sleep(_PAUSE)

    async def _request(self) -> bool:
        host, port = self._address()
        path = self._pod.scope.render(as_text(self._body.get("path") or "/"))
        headers = {
            str(h["name"]): self._pod.scope.render(str(h["value"]))
            for h in self._body.get("httpHeaders") or ()
        }
        return await asyncio.to_thread(self._get, host, port, path, headers)

    def _get(self, host: str, port: int, path: str, headers: Mapping[str, str]) -> bool:
        import http.client  # few runs have such a probe
        import ssl

        connection = http.client.HTTPConnection(host, port, timeout=self._probe.timeout)
        if str(self._body.get("scheme") or "HTTP").upper() == "HTTPS":
            unverified = ssl._create_unverified_context()  # as in Kubernetes
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._probe.timeout, context=unverified
            )
        try:
            connection.request("GET", path, headers=dict(headers))
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    async def _connection(self) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(*self._address()), self._probe.timeout)
        except (OSError, TimeoutError, asyncio.TimeoutError):
            return False
        writer.close()
        return True

    async def _program(self) -> bool:
        words = [self._pod.program.word(str(word), {}) for word in self._body.get("command") or ()]
        log = self._pod.log.with_name("probe.log")
        asked = self._pod.program.asked(words, work=self._pod.work, log=log, limit=self._probe.timeout)
        return await asked == 0

    def _address(self) -> tuple[str, int]:
        port = self._pod.scope.render(str(self._body.get("port")))
        number = self._probe.ports.get(port) or (int(port) if port.isdecimal() else None)
        if number is None:
            raise NodeError(f"readinessProbe: the container names no port '{port}'")
        return str(self._body.get("host") or LOOPBACK), number


def parse_probe(container: Mapping[str, Any], where: str) -> Probe | None:
    """A container's readinessProbe. Raises ManifestError for one that asks nothing that is known here."""
    raw = container.get("readinessProbe")
    if not raw:
        return None
    kind = next((kind for kind in _PROBES if raw.get(kind)), None)
    if kind is None:
        raise ManifestError(f"{where}.readinessProbe: one of {', '.join(_PROBES)} is needed")
    ports = {
        str(p.get("name")): int(p["containerPort"]) for p in container.get("ports") or () if p.get("name")
    }
    return Probe(kind, raw[kind], float(raw.get("timeoutSeconds") or 1), ports)
