"""Composing where a classic Couler program composes: at the top of a file, up to `couler.run`.

While a session is open, components add tasks, and what Couler would submit, validate or print is our
manifest.  After each `couler.run` Couler cleans up, and the next workflow begins.
"""

import atexit
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

from couler.core import states

from argosy.compose.compiler import templates_of
from argosy.compose.composition import Composition
from argosy.compose.couler_state import clean_couler, forget_leftovers, watch_couler
from argosy.compose.settings import Settings
from argosy.declare.component import Component, composing
from argosy.errors import ComposeError, UsageError
from argosy.lint.schema import conformed
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER

# Made anew here; the rest of Couler's spec is kept.
_OURS = ("entrypoint", "onExit", "templates", "ttlSecondsAfterFinished", "workflowSpec")
_CRON_KEYS = ("schedule", "suspend", "workflowSpec")


def script_manifest(composition: Composition) -> dict[str, Any]:
    """The manifest of a finished composition, with the installation's settings laid under it.

    A Workflow, or a CronWorkflow where the program gave a schedule.

    Raises:
        ComposeError: there is no step, or one has a name that the workflow needs for itself.
    """
    if not composition.tasks:
        raise ComposeError("the program composes no step")
    settings = Settings.find()
    spec = settings.under(_spec(composition))
    raw = composition.manifest
    if raw["kind"] == "CronWorkflow":
        spec = {**_schedule(raw["spec"]), "workflowSpec": spec}
    manifest = {
        "apiVersion": raw["apiVersion"],
        "kind": raw["kind"],
        "metadata": _metadata(raw["metadata"], settings),
        "spec": spec,
    }
    return settings.over(conformed(manifest, raw["kind"]))


def _metadata(raw: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    place = {"namespace": settings.namespace} if settings.namespace else {}
    return {**raw, **place, "labels": {"app.kubernetes.io/managed-by": "argosy", **raw.get("labels", {})}}


def _spec(composition: Composition) -> dict[str, Any]:
    raw = composition.spec
    spec: dict[str, Any] = {"entrypoint": ENTRYPOINT}
    if composition.exit_tasks:
        spec["onExit"] = EXIT_HANDLER
    spec |= {key: value for key, value in raw.items() if key not in _OURS and value}
    if seconds := raw.get("ttlSecondsAfterFinished"):
        spec["ttlStrategy"] = {"secondsAfterCompletion": seconds}
    spec["templates"] = templates_of(composition)
    return spec


def _schedule(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Couler's cron part in the form that Argo reads since 3.6."""
    spec: dict[str, Any] = {"schedules": [raw["schedule"]]}
    spec |= {key: value for key, value in raw.items() if key not in _CRON_KEYS}
    policy = spec.get("concurrencyPolicy")
    if policy:
        spec["concurrencyPolicy"] = str(policy).strip('"')
    if str(raw.get("suspend", "")).lower() == "true":
        spec["suspend"] = True
    return spec


Values = Callable[[dict[str, Any]], dict[str, Any]]


def _unchanged(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest


class Session:
    """One workflow after the other, as a program composes them.

    Args:
        values: what is done to each manifest before anybody sees it.

    Attributes:
        delivered: whether a workflow was complete already.
    """

    def __init__(self, values: Values = _unchanged) -> None:
        self._composition = Composition()
        self._values = values
        self._called: list[tuple[Component[Any, Any], dict[str, Any]]] = []
        self.delivered = False

    @property
    def called(self) -> list[tuple[Component[Any, Any], dict[str, Any]]]:
        """The components that the program called, in all its workflows, each with its template."""
        return [*self._called, *self._composition.rendered]

    @property
    def composed(self) -> bool:
        """Whether there is a task since the last `couler.run`."""
        return bool(self._composition.tasks)

    def call(self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add the task of one call of a component."""
        return self._composition.call(component, args, kwargs)

    def check_options(self, name: str, options: Mapping[str, Any], site: str) -> None:
        """Refuse options of a component that hold a value of the program."""
        self._composition.check_options(name, options, site)

    def expect_call(self, uncalled: list[Any], site: str) -> None:
        """Remember what the program makes and has to call."""
        self._composition.expect_call(uncalled, site)

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
        self._composition.check_calls()
        self._composition.manifest = type(workflow).to_dict(workflow)
        return self._values(script_manifest(self._composition))

    def secrets(self) -> list[Any]:
        """The Secrets that `couler.create_secret` noted."""
        return list(states._secrets.values())

    def _begin_next(self) -> None:
        self._called, self.delivered = self.called, True
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


_program = ExitStack()


def compose_from_here(program: str) -> None:
    """Open a session until the interpreter ends, unless one is open.

    Raises:
        UsageError: the program has composed already, where nobody saw it.
    """
    if open_session() is not None:
        return
    if states.workflow.steps or states.workflow.dag_tasks:
        raise UsageError(f"{program}: composes before it imports ArgosySubmitter; import it at the top")
    _program.enter_context(session(program))
    atexit.register(_program.close)
