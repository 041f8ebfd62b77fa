"""Real Tritons beside the shared one, on the same bucket: replicas that tests may start, kill and slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from argosy.components.shared.triton import Triton
from argosy.stack import Stack, process, serving
from argosy.stack.process import ProcessId
from argosy.stack.service import Service
from argosy.stack.serving import locate_triton
from argosy.stack.state import StateFolder
from tests.components.deployment.fleet import IMAGE
from tests.conftest import quick_loads


@dataclass
class Replica:
    """One server; it serves nothing when it starts."""

    service: Service
    triton: Triton
    running: ProcessId | None = None

    @property
    def url(self) -> str:
        return self.triton.url

    def start(self) -> None:
        self.service.sweep()
        child = self.service.start()
        self.running = process.identify(child.pid)
        self.service.wait_until_well(child, threading.Event())

    def kill(self) -> None:
        """As a node that dies: nothing of it is left."""
        if self.running is not None:
            process.stop(self.running, 0.0)
            self.service.sweep()
        self.running = None


def replica(
    stack: Stack, folder: Path, host: str = process.HOST, chosen: dict[str, int] | None = None
) -> Replica:
    """A server on the stack's bucket, not started."""
    where, state = stack.endpoints(), StateFolder(folder)
    chosen = chosen or process.choose_ports(serving.PORTS, {})
    install = locate_triton(stack.state_dir)
    serving.lay_out_backends(state.backends, install)
    with quick_loads():
        made = serving.service(state, chosen, where.s3, install)
    at = serving.endpoint(chosen)
    http, grpc = (address.replace(process.HOST, host) for address in (at.http, at.grpc))
    command = tuple(word.replace(f"-address={process.HOST}", f"-address={host}") for word in made.command)
    made = replace(made, address=http, command=command, check=lambda: serving._check(http))
    return Replica(made, Triton(http, grpc))


@contextmanager
def running(replicas: Sequence[Replica]) -> Iterator[None]:
    """Start them side by side; none is left afterwards."""
    starts = [threading.Thread(target=one.start) for one in replicas]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    try:
        yield
    finally:
        for one in replicas:
            one.kill()


@dataclass
class Clients:
    """Clients of a model, each with one replica: how often they were answered, and what went wrong."""

    model: str
    answered: dict[str, int] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def at(self, *tritons: Triton, version: int) -> Iterator[Clients]:
        """Ask for a version without a pause, for the length of the block."""
        threads = [threading.Thread(target=self._use, args=(one, version)) for one in tritons]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def _use(self, triton: Triton, version: int) -> None:
        self.answered[triton.url], self.failures[triton.url] = 0, []
        while not self.over.wait(0.005):
            try:
                triton.infer(self.model, version, {"input": IMAGE})
                self.answered[triton.url] += 1
            except Exception as error:  # whatever a client meets is a failed request
                self.failures[triton.url].append(f"{type(error).__name__}: {error}")
