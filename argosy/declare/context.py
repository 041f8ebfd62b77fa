"""Whether a pipeline is being composed right now, and by whom.

Kept apart from the bridge so that a step's own process never loads Couler.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from argosy.declare.component import Component


class Composer(Protocol):
    """What turns a component's call into a task."""

    def call(self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add a task and return the handle of its outputs."""


_current: ContextVar[Composer | None] = ContextVar("argosy_composer", default=None)


def current_composer() -> Composer | None:
    """The composer at work in this context, or None: then a component's call runs the step."""
    return _current.get()


@contextmanager
def composing(composer: Composer) -> Iterator[None]:
    """Calls of components add tasks to `composer` inside this block."""
    token = _current.set(composer)
    try:
        yield
    finally:
        _current.reset(token)
