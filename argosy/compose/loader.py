"""From what a user writes on a command line to a pipeline or a manifest."""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

from argosy.compose.slips import in_words
from argosy.compose.upstream import import_couler
from argosy.declare.component import Component, composing
from argosy.declare.modules import home_of, is_from, prefer
from argosy.declare.pipeline import Pipeline
from argosy.declare.source import call_site, left_at, placed, raised_at
from argosy.errors import ArgosyError, ComposeError, DeclarationError, ManifestError, UsageError
from argosy.manifest.reading import STOPS_ARGO, Document, read
from argosy.manifest.tree import place, unmarked
from argosy.step.quiet import keep_couler_quiet
from argosy.text import did_you_mean, nearest

BUILT_IN = "argosy.pipelines"
_takes_calls: ContextVar[bool] = ContextVar("takes_calls", default=False)
NO_PIPELINE = (
    "declares no pipeline; mark a function with @pipeline, or give a program that composes at its top to "
    "'couler run' or 'argosy submit'"
)


def built_in_names() -> list[str]:
    """The names of the pipelines that come with Argosy."""
    package = importlib.import_module(BUILT_IN)
    modules = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg]
    return sorted(name.replace("_", "-") for name in modules)


def load_pipeline(target: str) -> Pipeline[Any, Any]:
    """The pipeline for a built-in name, `FILE.py` or `package.module`; either with `:function`.

    Raises:
        UsageError: there is none, or more than one.
    """
    import_couler()
    path, _, function = target.partition(":")
    try:
        if path.endswith(".py"):
            return _pick(load_file(Path(path)), function, target)
        name = path.replace("_", "-")
        if name not in built_in_names():
            return _pick(_load_module(path), function, target)
        module = importlib.import_module(f"{BUILT_IN}.{name.replace('-', '_')}")
        return _pick(module, function or name.replace("-", "_"), target)
    finally:
        keep_couler_quiet()


def load_pipelines(target: str) -> list[Pipeline[Any, Any]]:
    """Every pipeline that `FILE.py` declares, or the one of `FILE.py:function`; raises as `load_pipeline`."""
    path, _, function = target.partition(":")
    if function:
        return [load_pipeline(target)]
    import_couler()
    try:
        found = pipelines_in(load_file(Path(path)))
    finally:
        keep_couler_quiet()
    if not found:
        raise UsageError(f"'{target}' {NO_PIPELINE}")
    return list(found.values())


def pipelines_in(module: ModuleType) -> dict[str, Pipeline[Any, Any]]:
    """The pipelines that a module declares, by their names; where it declares none, those that it imports."""
    every = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    own = {name: value for name, value in every.items() if value.function.__module__ == module.__name__}
    return own or every


def load_file(path: Path) -> ModuleType:
    """The module of a file, under the name that other programs import it by; see `home_of`.

    Raises:
        UsageError: there is no such file, its name is taken, or its own code fails.
    """
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'{_nearest_file(path)}")
    home = home_of(path)
    prefer(*home.folders)
    known = sys.modules.get(home.name)
    if known is not None and is_from(known, path):
        return known
    if known is not None or home.name in sys.stdlib_module_names:
        raise UsageError(f"{path}: a module '{home.name}' exists already; rename the file")
    module = import_module(home.name, path)
    if not is_from(module, path):
        raise UsageError(f"{path}: a module '{home.name}' exists already; rename the file")
    return module


def import_module(name: str, place: Path | None = None) -> ModuleType:
    """The module of that name; no step runs while it is read (see `taking_calls`).

    Raises:
        UsageError: its own code fails; the message has the place, which is `place` for want of a better one.
        ComposeError: its own code calls a component.
    """
    try:
        with nullcontext() if _takes_calls.get() else composing(_OnlyRead()):
            return importlib.import_module(name)
    except DeclarationError as error:
        raise DeclarationError(placed(error)) from error
    except ArgosyError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(explain(error, place or Path(name))) from error


@contextmanager
def taking_calls() -> Iterator[None]:
    """Inside this block a component that a file calls at its top is for whoever composes around it."""
    token = _takes_calls.set(True)
    try:
        yield
    finally:
        _takes_calls.reset(token)


class _OnlyRead:
    """The composer while a module is read: a component that is called at its top would run here and now."""

    def call(self, component: Component[Any, Any], args: Any, kwargs: Any) -> Any:
        """Refuse it on the user's line."""
        raise ComposeError(
            f"{call_site()}: {component.interface.name}() is called while the file is read, and would run "
            "on this machine; call it in a function under @pipeline, or give the program to 'couler run'"
        )

    def check_options(self, name: str, options: Mapping[str, Any], site: str) -> None:
        """At a file's top there is no value of a pipeline."""

    def expect_call(self, uncalled: list[Any], site: str) -> None:
        """At a file's top an approval is made for a pipeline that calls it."""


def _load_module(name: str) -> ModuleType:
    """A module as `python -m` finds it: the current directory comes first."""
    prefer(str(Path.cwd()))
    if not all(word.isidentifier() for word in name.split(".")):
        raise UsageError(_unknown(name))
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:
        spec = None
    except ArgosyError:
        raise
    except (Exception, SystemExit) as error:  # of the packages around it
        if not isinstance(error, ModuleNotFoundError) or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(explain(error, Path(name))) from error
        spec = None
    if spec is None:
        raise UsageError(_unknown(name))
    return import_module(name)


def component_of(step: str, folders: Iterable[str]) -> Component[Any, Any] | None:
    """The component that a container runs as `MODULE:FUNCTION`; None where its code cannot be read here."""
    module, _, function = step.partition(":")
    import_couler()
    prefer(*folders)
    try:
        found = getattr(import_module(module), function, None)
    except ArgosyError:  # its packages may be in its image alone
        return None
    finally:
        keep_couler_quiet()
    return found if isinstance(found, Component) else None


def _unknown(name: str) -> str:
    if is_manifest(name):
        return f"'{name}' is a manifest, as pipelines compile to; name a pipeline"
    path = Path(name)
    if path.is_file():
        return f"'{name}' is no Python file (.py) and no manifest (.yaml, .yml, .json)"
    if path.is_dir():
        example = next((file.name for file in sorted(path.glob("[!_]*.py"))), "train.py")
        return f"'{name}' is a folder; name a file in it, as in '{name.rstrip('/')}/{example}'"
    if "/" in name:
        return f"there is no file '{name}'{_nearest_file(path)}"
    if "." in name:
        return f"there is no module '{name}' here or among what is installed"
    return f"unknown pipeline '{name}'{did_you_mean(name.replace('_', '-'), built_in_names())}"


def _nearest_file(path: Path) -> str:
    return nearest(str(path), path.parent.glob("*.py")) if path.parent.is_dir() else ""


_GUARD = "leave it out, or put it under 'if __name__ == \"__main__\":'"


def explain(error: BaseException, path: Path | None = None) -> str:
    """One line for an error in the user's own code: file, line, what."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    if isinstance(error, SystemExit):
        return left_at(error, f"the file is read; {_GUARD}", str(path))
    from argosy.compose.placeholders import unknown_verb

    if found := unknown_verb(error):
        return found
    return f"{raised_at(error, str(path))}: {in_words(error)}"


def _pick(module: ModuleType, function: str, target: str) -> Pipeline[Any, Any]:
    every = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    found = every if function else pipelines_in(module)
    if function:
        if function not in found:
            raise UsageError(f"'{target}': no pipeline '{function}'{did_you_mean(function, found)}")
        return found[function]
    if not found:
        raise UsageError(_unknown(target) if Path(target).is_dir() else f"'{target}' {NO_PIPELINE}")
    if len(found) > 1:
        raise UsageError(f"'{target}' declares {', '.join(found)}; name one as {target}:FUNCTION")
    return next(iter(found.values()))


def is_manifest(target: str) -> bool:
    """Whether a command line's word names a manifest file."""
    return target.endswith((".yaml", ".yml", ".json"))


def load_manifest(path: Path) -> dict[str, Any]:
    """The one manifest in a file, read as Argo reads it.

    Raises:
        UsageError: there is no such file.
        ManifestError: it is not YAML, not one document with a `kind`, or has a number or a boolean where Argo
            wants a text; the message has the line.
    """
    documents = load_documents(path)
    if len(documents) != 1:
        raise ManifestError(f"{path}: holds {len(documents)} documents; one workflow is wanted")
    return documents[0]


def load_documents(path: Path) -> list[dict[str, Any]]:
    """The objects in a file, each with a `kind`, read as Argo reads them. Raises as `load_manifest` does."""
    try:
        source = read(str(path), path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from None
    for problem in (p for d in source.documents for p in d.problems if p.code in STOPS_ARGO):
        raise ManifestError(f"{path}:{problem.mark[0]}: {problem.message}")
    documents = [document for document in source.documents if document.root is not None]
    for document in documents:
        if not isinstance(document.root, dict) or "kind" not in document.root:
            raise ManifestError(f"{path}: is not a Kubernetes manifest: it has no 'kind'")
        _refuse_unquoted(document)
    return [unmarked(document.root) for document in documents]


def _refuse_unquoted(document: Document) -> None:
    from argosy.lint.registry import render
    from argosy.lint.schema import check

    for defect in check(document.root, document.kind) if document.is_argo else ():
        if defect.kind == "unquoted":
            line = place(document.root, defect.path)[0]
            problem = f"'{defect.value}' is no text to Argo, as {render(defect.path)} must be"
            raise ManifestError(f'{document.file}:{line}: {problem}; write "{defect.value}"')
