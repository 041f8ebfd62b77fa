"""`approval`: the workflow waits until a person lets it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argosy.declare.component import Component
from argosy.declare.container import ContainerSpec
from argosy.errors import DeclarationError, UsageError
from argosy.step.interface import Interface

# A suspended step has no container; nothing of this is written.
_NONE = ContainerSpec(image="none")


if TYPE_CHECKING:
    _Base = Component[[], None]
else:
    _Base = Component  # Python 3.9 cannot write the other


class Approval(_Base):
    """A step that does nothing but wait: Argo's `suspend`."""

    def __init__(self, name: str, timeout: int | None) -> None:
        summary = "Wait until somebody lets the workflow go on."
        super().__init__(_refuse, Interface(name, summary, "", (), ()), _NONE)
        self.timeout = timeout
        self.work = {"suspend": {"duration": str(timeout)} if timeout else {}}

    def _copy(self, interface: Interface, container: ContainerSpec) -> Component[[], None]:
        if container != _NONE:
            from argosy.declare.source import call_site

            raise DeclarationError(f"{call_site()}: '{interface.name}' waits: it has no container")
        return Approval(interface.name, self.timeout)

    @property
    def command(self) -> list[str]:
        """None: there is no container."""
        return []


def _refuse() -> None:
    raise UsageError("an approval is a step of a pipeline; it cannot be run")


def approval(name: str = "approve", *, timeout: int | None = None) -> Component[[], None]:
    """A step at which the workflow waits for `argo resume`, or for the button in Argo's UI.

    Steps after it name it: `couler.set_dependencies(lambda: deploy(...), dependencies=[approve()])`.

    Args:
        name: the step's name in YAML.
        timeout: seconds after which the workflow goes on by itself; None: never.

    Raises:
        DeclarationError: the timeout is not above 0.
    """
    if timeout is not None and timeout <= 0:
        raise DeclarationError(f"approval: timeout {timeout} is not a number of seconds above 0")
    return Approval(name, timeout)
