"""Any Couler program, run for what it composes at the top of a file, up to `couler.run`.

While a session is open, components add tasks, and what Couler would submit, validate or print is our
manifest.  After each `couler.run` Couler cleans up, and the next workflow begins.
"""

from __future__ import annotations

import ast
import atexit
import logging
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter
from couler.core import states

from argosy.cluster.delivery import secret_manifests
from argosy.cluster.destination import Destination
from argosy.cluster.submitter import ArgosySubmitter, Deliver, delivering
from argosy.compose.compiler import templates_of
from argosy.compose.composition import Composition
from argosy.compose.couler_state import ManifestCollector, clean_couler, forget_leftovers, watch_couler
from argosy.compose.given import references_in, with_parameters
from argosy.compose.loader import explain
from argosy.compose.placeholders import explained
from argosy.compose.settings import Settings
from argosy.declare.component import Component, composing
from argosy.declare.source import raised_at
from argosy.errors import ArgosyError, ComposeError, UsageError
from argosy.lint.schema import conformed
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER
from argosy.step.quiet import keep_couler_quiet

_THEIR_RUN = couler.run
_LOGGER = logging.getLogger(__name__)
# Made anew here; the rest of Couler's spec is kept.
_OURS = ("entrypoint", "onExit", "templates", "ttlSecondsAfterFinished", "workflowSpec")
_CRON_KEYS = ("schedule", "suspend", "workflowSpec")
_program = ExitStack()
"""Holds the session of the program that Python runs."""


def run_program(path: Path, given: Mapping[str, str], deliver: Deliver, *, dry_run: bool = False) -> None:
    """Run a file as Python would, and deliver each workflow that it composes.

    Each `couler.run` delivers one, whatever submitter it names; what was composed after the last one, or
    without any, is delivered at the end.

    Args:
        path: the file.
        given: values for `{{workflow.parameters.NAME}}`.
        deliver: takes the manifests.
        dry_run: whether the program must not reach a cluster by Couler's means or a submitter of its own.

    Raises:
        UsageError: the file is not there, fails, or composes nothing.
    """
    try:
        # A program of several workflows may use a parameter in one of them.
        mentioned = set(references_in(path.read_text(encoding="utf-8", errors="replace")))
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from None
    delivered: list[None] = []

    def counted(manifest: dict[str, Any], secrets: list[dict[str, Any]], destination: Destination) -> Any:
        delivered.append(None)
        return deliver(manifest, secrets, destination)

    with (
        session(str(path), lambda m: with_parameters(m, given, elsewhere=mentioned)) as composed,
        delivering(counted),
        _couler_submits_here(dry_run),
    ):
        with _explained(path):
            _execute(path)
        if composed.composed:
            with _explained(path):
                manifest = composed.manifest()
            counted(manifest, secret_manifests(composed.secrets()), Destination())
    if not delivered:
        raise ComposeError(f"{path}: composes no step, and declares no pipeline; mark one with @pipeline()")


@contextmanager
def composing_only(program: Path) -> Iterator[Session]:
    """Inside this block calls of components become tasks: no step runs here, and nothing is submitted."""

    def dropped(manifest: dict[str, Any], secrets: list[dict[str, Any]], destination: Destination) -> Any:
        return {**manifest, "metadata": {"name": workflow_name(str(program)), **manifest["metadata"]}}

    with session(str(program)) as composed, delivering(dropped), _couler_submits_here(dry_run=True):
        yield composed


def called_by(path: Path) -> list[tuple[Component[Any, Any], dict[str, Any]]] | None:
    """The components that a file calls when it is run, each with its template; None if it composes no step.

    No step runs, and nothing is submitted.

    Raises:
        UsageError: the file is not there, or fails.
    """
    with composing_only(path) as composed, _explained(path):
        _execute(path)
        return composed.called if composed.composed or composed.delivered else None


def _execute(path: Path) -> None:
    folder, arguments = str(path.resolve().parent), sys.argv
    sys.path.insert(0, folder)
    sys.argv = [str(path)]
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = arguments
        sys.path.remove(folder)
        keep_couler_quiet()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An error in the program becomes one line with its place."""
    try:
        yield
    except ArgosyError:
        raise
    except SystemExit as end:
        if end.code not in (None, 0):
            raise UsageError(f"{raised_at(end, str(path))}: ended with {end.code}") from None
    except Exception as error:
        if mistake := explained(error):
            raise mistake from error
        raise UsageError(explain(error, path)) from error


@contextmanager
def _couler_submits_here(dry_run: bool) -> Iterator[None]:
    """Couler's own submitter delivers as ours does, and needs no cluster to be made.

    A default submitter (`couler.set_default_submitter`) is the program's, and ends with it.
    """
    saved = ArgoSubmitter.__init__, ArgoSubmitter.submit, couler.run, couler.delete
    ArgoSubmitter.__init__, ArgoSubmitter.submit = _init, ArgosySubmitter.submit
    if dry_run:
        couler.run, couler.delete = _run, _delete
    runs = [(run, run.__defaults__) for run in (saved[2], _run)]
    try:
        yield
    finally:
        ArgoSubmitter.__init__, ArgoSubmitter.submit, couler.run, couler.delete = saved
        for run, defaults in runs:
            run.__defaults__ = defaults


def _init(
    self: Any,
    namespace: str | None = None,
    config_file: Any = None,
    context: str | None = None,
    *_: Any,
    **__: Any,
) -> None:
    """As Couler's, whose namespace is "default" unless given: here it is then the context's."""
    ArgosySubmitter.__init__(self, namespace, config_file, context)


def _run(submitter: Any = ArgoSubmitter) -> Any:
    """`couler.run`, which never calls a `submit` of the program's own making."""
    if isinstance(submitter, ManifestCollector):  # a pipeline that is compiled in between
        return _THEIR_RUN(submitter=submitter)
    if isinstance(submitter, type):
        submitter = submitter()
    if not isinstance(submitter, ArgoSubmitter):
        raise UsageError(f"couler.run takes an ArgoSubmitter, not {submitter!r}")
    answer = ArgosySubmitter.submit(submitter, states.workflow.to_dict(), states._secrets.values())
    couler._cleanup()
    return answer


def _delete(name: str, *_: Any, **__: Any) -> None:
    """`couler.delete`, which deletes nothing."""
    _LOGGER.info("Workflow '%s' would be deleted", name)


def is_program(target: str) -> bool:
    """Whether a file composes by itself: it has no function under `@pipeline`."""
    path = Path(target)
    if path.suffix != ".py" or not path.is_file():
        return False
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError):
        return True  # running it names the line
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    return not any(_is_pipeline(d) for f in functions for d in f.decorator_list)


def imports_from_its_package(path: Path) -> bool:
    """Whether a file is a module of a package and no script: as one, `from . import x` fails."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, OSError):
        return False
    return any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(tree))


def _is_pipeline(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "pipeline"


def script_manifest(composition: Composition) -> dict[str, Any]:
    """The manifest of a finished composition, with the installation's settings laid under it.

    A Workflow, or a CronWorkflow where the program gave a schedule.

    Raises:
        ComposeError: there is no step, or one has a name that the workflow needs for itself.
    """
    if not composition.tasks:
        raise ComposeError("the program composes no step")
    spec = _spec(composition)
    raw = composition.manifest
    if raw["kind"] == "CronWorkflow":
        spec = {**_schedule(raw["spec"]), "workflowSpec": spec}
    manifest = {
        "apiVersion": raw["apiVersion"],
        "kind": raw["kind"],
        "metadata": _metadata(raw["metadata"]),
        "spec": spec,
    }
    return Settings.find().around(conformed(manifest, raw["kind"]))


def _metadata(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {**raw, "labels": {"app.kubernetes.io/managed-by": "argosy", **raw.get("labels", {})}}


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

    def name_couler_step(self, name: str, called: Any) -> str:
        """The name of a task for one of Couler's own steps."""
        return self._composition.name_couler_step(name, called)

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
