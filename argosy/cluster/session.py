"""Composing where a classic Couler program composes: at the top of a file, up to `couler.run`.

While a session is open, components add tasks, and what Couler would submit, validate or print is our
manifest.  After each `couler.run` Couler cleans up, and the next workflow begins.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

from couler.core import states

from argosy.cluster.script import script_manifest
from argosy.compose.composition import Composition
from argosy.compose.couler_state import clean_couler, forget_leftovers, watch_couler
from argosy.declare.component import Component, composing

Values = Callable[[dict[str, Any]], dict[str, Any]]


def _unchanged(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest


class Session:
    """One workflow after the other, as a program composes them.

    Args:
        values: what is done to each manifest before anybody sees it.
    """

    def __init__(self, values: Values = _unchanged) -> None:
        self._composition = Composition()
        self._values = values

    @property
    def composed(self) -> bool:
        """Whether there is a task since the last `couler.run`."""
        return bool(self._composition.tasks)

    def call(self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add the task of one call of a component."""
        return self._composition.call(component, args, kwargs)

    def on_couler_task(self, name: str, entry: dict[str, Any]) -> None:
        """Couler has put a task into its table."""
        self._composition.on_couler_task(name, entry)

    def name_couler_step(self, name: str) -> str:
        """The name of a task for one of Couler's own steps."""
        return self._composition.name_couler_step(name)

    def map(self, function: Callable[..., Any], *lists: Any) -> Any:
        """`couler.map`."""
        return self._composition.map(function, *lists)

    def exec_while(self, condition: dict[str, Any], function: Callable[..., Any]) -> Any:
        """`couler.exec_while`."""
        return self._composition.exec_while(condition, function)

    def manifest(self) -> dict[str, Any]:
        """The manifest of what was composed so far.

        Raises:
            ComposeError: nothing was, or it cannot become a workflow.
        """
        workflow = states.workflow
        self._composition.manifest = type(workflow).to_dict(workflow)
        return self._values(script_manifest(self._composition))

    def secrets(self) -> list[Any]:
        """What `couler.create_secret` noted."""
        return list(states._secrets.values())

    def _begin_next(self) -> None:
        self._composition = Composition()
        forget_leftovers()
        watch_couler(self.on_couler_task)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Couler's workflow answers with our manifest, and its clean-up begins the next composition."""
        workflow = states.workflow
        clean_up = type(workflow).cleanup

        def cleanup(self_: Any) -> None:
            clean_up(self_)
            self._begin_next()

        workflow.to_dict, workflow.cleanup = self.manifest, MethodType(cleanup, workflow)
        try:
            yield
        finally:
            vars(workflow).pop("to_dict", None)
            vars(workflow).pop("cleanup", None)


_open: list[Session] = []


def open_session() -> Session | None:
    """The session that is going on, if any."""
    return _open[-1] if _open else None


@contextmanager
def session(program: str, values: Values = _unchanged) -> Iterator[Session]:
    """Compose from here on, in a workflow called after `program`, a file."""
    current = Session(values)
    with clean_couler(current), composing(current):
        states.workflow.generate_name = workflow_name(program)
        with current.hooked():
            _open.append(current)
            try:
                yield current
            finally:
                _open.remove(current)


def workflow_name(program: str) -> str:
    """A name for the workflow of a file, as Kubernetes wants names."""
    letters = (c if c.isascii() and c.isalnum() else "-" for c in Path(program).stem.lower())
    return "-".join(filter(None, "".join(letters).split("-"))) or "workflow"
