"""`approval`: the workflow waits until a person lets it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from argosy.declare.component import Component, current_composer
from argosy.declare.container import ContainerSpec
from argosy.declare.fields import expect_count, expect_name
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
        self.made: list[Approval] = [self]
        summary = "Wait until somebody lets the workflow go on."
        super().__init__(_refuse, Interface(name, summary, "", (), ()), _NONE)
        self.timeout = timeout
        self.work = {"suspend": {"duration": str(timeout)} if timeout else {}}

    def _copy(self, interface: Interface, container: ContainerSpec) -> Component[[], None]:
        if container != _NONE:
            from argosy.declare.source import call_site

            raise DeclarationError(f"{call_site()}: '{interface.name}' waits: it has no container")
        copy = Approval(interface.name, self.timeout)
        copy.made = self.made
        return copy

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Approval:
        """Itself, which now is a step of the pipeline."""
        self.made.clear()
        return self

    @property
    def command(self) -> list[str]:
        """None: there is no container."""
        return []


def _refuse() -> None:
    raise UsageError("an approval is a step of a pipeline; it cannot be run")


def approval(name: str = "approve", *, timeout: int | None = None) -> Component[[], None]:
    """A step at which the workflow waits for `argo resume`, or for the button in Argo's UI.

    Called it is the step: `asked = approval()()`. Steps after it name it:
    `couler.set_dependencies(lambda: deploy(...), dependencies=[asked])`. A pipeline that never calls one
    is refused, because nothing would wait.

    Args:
        name: the step's name in YAML.
        timeout: seconds after which the workflow goes on by itself; None: never.

    Raises:
        DeclarationError: it is no name, or the timeout is not above 0.
    """
    expect_name("approval: name", name)
    if timeout is not None:
        expect_count("approval: timeout", timeout, 1)
    made = Approval(name, timeout)
    composer = current_composer()
    if composer is not None:
        from argosy.declare.source import call_site

        composer.expect_call(made.made, call_site())
    return made
