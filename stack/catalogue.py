"""The three servers of a stack, described from its folder, ports and key pair."""

from __future__ import annotations

from dataclasses import dataclass

from argosy.stack import serving, storage, tracking
from argosy.stack.endpoints import Endpoints
from argosy.stack.service import Service
from argosy.stack.state import Credentials, StateFolder
from argosy.stack.triton_install import TritonInstall, locate


@dataclass(frozen=True)
class Catalogue:
    """The servers that run, and where each answers."""

    tracking: Service
    storage: Service
    serving: Service
    endpoints: Endpoints
    install: TritonInstall

    @property
    def services(self) -> tuple[Service, ...]:
        """All servers, in the order in which they are shown."""
        return (self.tracking, self.storage, self.serving)


def endpoints(ports: dict[str, int], credentials: Credentials) -> Endpoints:
    """Return what clients need."""
    return Endpoints(tracking.url(ports), storage.endpoint(ports, credentials), serving.endpoint(ports))


def catalogue(folder: StateFolder, ports: dict[str, int], credentials: Credentials) -> Catalogue:
    """Describe the servers; nothing is started or installed."""
    install = locate(folder.path)
    where = endpoints(ports, credentials)
    return Catalogue(
        tracking=tracking.service(folder, ports),
        storage=storage.service(folder, ports, credentials),
        serving=serving.service(folder, ports, where.s3, install),
        endpoints=where,
        install=install,
    )
