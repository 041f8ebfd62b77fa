"""Any Couler program, run for what it composes."""

import ast
import logging
import runpy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import couler.argo as couler
from couler.argo_submitter import ArgoSubmitter
from couler.core import states

from argosy.cluster.destination import Destination
from argosy.cluster.parameters import references_in, with_parameters
from argosy.cluster.secrets import secret_manifests
from argosy.cluster.session import Session, session, workflow_name
from argosy.cluster.submitter import ArgosySubmitter, Deliver, delivering
from argosy.compose.couler_state import ManifestCollector
from argosy.compose.loader import explain
from argosy.compose.placeholders import explained
from argosy.declare.component import Component
from argosy.errors import ArgosyError, ComposeError, UsageError
from argosy.step.quiet import keep_couler_quiet

_THEIR_RUN = couler.run
_LOGGER = logging.getLogger(__name__)


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
            raise UsageError(f"{path}: ended with {end.code}") from None
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


def _is_pipeline(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "pipeline"
