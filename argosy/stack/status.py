"""How a stack is doing, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from argosy.errors import StackError
from argosy.stack.endpoints import Endpoints

Health = Literal["healthy", "unhealthy", "dead", "stopped"]


@dataclass(frozen=True)
class ServiceStatus:
    """One server: `dead` has ended on its own, `stopped` was never started or was stopped by `down`."""

    name: str
    health: Health
    address: str
    pid: int | None = None
    problem: str = ""
    """What is wrong, with the last lines of the log; empty for a healthy or stopped server."""


@dataclass(frozen=True)
class StackStatus:
    """All servers of a stack; `endpoints` is None where the stack has never been up."""

    services: tuple[ServiceStatus, ...]
    endpoints: Endpoints | None

    @property
    def healthy(self) -> bool:
        """Tell whether every server is up and answers."""
        return bool(self.services) and all(service.health == "healthy" for service in self.services)

    def require_healthy(self) -> Endpoints:
        """Return the endpoints; raise StackError, which says what is wrong, unless everything is healthy."""
        if self.endpoints is not None and self.healthy:
            return self.endpoints
        problems = [service.problem for service in self.services if service.problem]
        raise StackError("\n".join(problems) or "the stack is not up; run `argosy up`")
