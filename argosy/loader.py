"""From what a user writes on a command line to a pipeline or a manifest."""

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from argosy.errors import ArgosyError, ManifestError, UsageError
from argosy.pipeline import Pipeline
from argosy.quick_couler import import_couler
from argosy.quiet import keep_couler_quiet
from argosy.text import did_you_mean

BUILT_IN = "argosy.pipelines"


def built_in_names() -> list[str]:
    """The names of the pipelines that come with Argosy."""
    package = importlib.import_module(BUILT_IN)
    modules = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg]
    return sorted(name.replace("_", "-") for name in modules)


def load_pipeline(target: str) -> Pipeline[Any, Any]:
    """The pipeline for a built-in name, `FILE.py` or `FILE.py:function`.

    Raises:
        UsageError: there is none, or more than one.
    """
    import_couler()
    path, _, function = target.partition(":")
    try:
        if path.endswith(".py"):
            return _pick(_load_file(Path(path)), function, target)
        return _load_built_in(target)
    finally:
        keep_couler_quiet()


def _load_built_in(target: str) -> Pipeline[Any, Any]:
    name = target.replace("_", "-")
    if name not in built_in_names():
        raise UsageError(f"unknown pipeline '{target}'{did_you_mean(name, built_in_names())}")
    module = importlib.import_module(f"{BUILT_IN}.{name.replace('-', '_')}")
    return _pick(module, name.replace("-", "_"), target)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    folder, name = str(path.resolve().parent), path.stem
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        known = sys.modules.get(name)
        if known is not None and Path(getattr(known, "__file__", None) or "").resolve() == path.resolve():
            return known
        if known is not None or importlib.util.find_spec(name) is None:
            raise UsageError(f"{path}: a module '{name}' exists already; rename the file")
        return importlib.import_module(name)
    except ArgosyError:
        raise
    except Exception as error:
        raise UsageError(explain(error, path)) from error


def explain(error: BaseException, path: Path | None = None) -> str:
    """One line for an error in the user's own code: file, line, what."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    sdk = str(Path(__file__).parent)
    own = [f for f in frames if not f.filename.startswith((sdk, "<frozen")) and "/couler/" not in f.filename]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)
    return f"{place}: {type(error).__name__}: {error}"


def _pick(module: ModuleType, function: str, target: str) -> Pipeline[Any, Any]:
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Pipeline) and value.function.__module__ == module.__name__
    }
    if function:
        if function not in found:
            raise UsageError(f"'{target}': no pipeline '{function}'{did_you_mean(function, found)}")
        return found[function]
    if not found:
        raise UsageError(f"'{target}' declares no pipeline; mark one with @pipeline()")
    if len(found) > 1:
        raise UsageError(f"'{target}' declares {', '.join(found)}; name one as {target}:FUNCTION")
    return next(iter(found.values()))


def is_manifest(target: str) -> bool:
    """Whether a command line's word names a manifest file."""
    return target.endswith((".yaml", ".yml", ".json"))


def load_manifest(path: Path) -> dict[str, Any]:
    """The one manifest in a file.

    Raises:
        UsageError: there is no such file.
        ManifestError: it is not YAML, or not one document with a `kind`; the message has the line.
    """
    try:
        documents = [d for d in yaml.load_all(path.read_bytes(), Loader=_loader()) if d is not None]
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ManifestError(f"{place}: not YAML: {problem}") from None
    if len(documents) != 1:
        raise ManifestError(f"{path}: holds {len(documents)} documents; one workflow is wanted")
    if not isinstance(documents[0], dict) or "kind" not in documents[0]:
        raise ManifestError(f"{path}: is not a Kubernetes manifest: it has no 'kind'")
    return documents[0]


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
