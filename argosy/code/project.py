"""Which files of a project a module needs: its own, those that it imports, and the data of their packages.

Nothing is imported to find out: modules are located as Python would, and their imports are read from their
source. What is installed belongs to the image, as the standard library does.
"""

import ast
import importlib.machinery
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from argosy.errors import UsageError
from argosy.step.runtime import MODULES as RUNTIME

SITES = ("site-packages", "dist-packages")
_FOLDERS_LEFT_OUT = ("__pycache__", "node_modules")
_SUFFIXES_LEFT_OUT = (".py", ".pyc", ".pyo", ".pyi", ".env")
_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)
OURS, COULER = "argosy", "couler"
_SHARED = (f"{OURS}.components", f"{OURS}.pipelines")


@dataclass
class Found:
    """What a bundle holds of the project.

    Attributes:
        files: by their names below an entry of `sys.path`.
        modules: the names of the modules among them.
        missing: modules that were asked for and are nowhere.
        absent: modules of Couler and of Argosy that are imported, and that no step needs.
        notes: what a reader of the command's output should know, a line each.
    """

    files: dict[str, Path] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def find(modules: Iterable[str], folders: Iterable[str] = ()) -> Found:
    """The files that these modules need.

    Args:
        modules: by their importable names.
        folders: where they are looked for before `sys.path`.

    Raises:
        UsageError: one of them is a compiled extension, or is no Python.
    """
    search = [*folders, *sys.path]
    found = Found()
    pending = [(m, "") for m in modules]
    found.missing = [m for m, _ in pending if not _is_standard(m) and _locate(m, search) is None]
    seen: set[str] = set()
    while pending:
        name, importer = pending.pop()
        if name in seen or (spec := _locate(name, search)) is None:
            continue
        parent = name.rpartition(".")[0]
        if _is_own(spec, importer):
            seen.add(name)
            found.absent.discard(name)
            pending += [(parent, importer)] if parent else []
            pending += [(n, name) for n in _take(name, spec, found)]
        elif name.partition(".")[0] in (OURS, COULER) and not _is_runtime(name):
            found.absent.add(name)
            pending += [(parent, importer)] if parent not in ("", OURS) else []
    found.absent -= found.modules
    return found


def _locate(name: str, search: list[str]) -> importlib.machinery.ModuleSpec | None:
    """Where a module is; no package is imported on the way."""
    path: list[str] | None = None
    spec: importlib.machinery.ModuleSpec | None = None
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:number]), path, search)
        if spec is None:
            return None
        path = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
        if path is None and number < len(parts):
            return None
    return spec


def _spec(name: str, path: list[str] | None, search: list[str]) -> importlib.machinery.ModuleSpec | None:
    if path is None and _is_standard(name):
        return None
    portions: list[str] = []
    for entry in search if path is None else path:
        finder: Any = pkgutil.get_importer(entry or os.getcwd())  # noqa: PTH109
        found = finder.find_spec(name) if finder is not None else None
        if found is not None and found.loader is not None:
            return cast(importlib.machinery.ModuleSpec, found)
        portions += (found.submodule_search_locations or ()) if found is not None else ()
    if portions:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec
    return _spec_elsewhere(name, path)


def _spec_elsewhere(name: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    """By the other finders, as of projects that are installed in place."""
    for finder in sys.meta_path:
        if finder is not importlib.machinery.PathFinder:
            with suppress(Exception):
                if spec := finder.find_spec(name, path, None):
                    return spec
    return None


def _is_own(spec: importlib.machinery.ModuleSpec, importer: str) -> bool:
    """Whether a module's source belongs to the project, and not to what is installed.

    Of Argosy itself the components and pipelines that a project imports travel as its own modules do, with
    what they import.
    """
    places = (
        [spec.origin] if spec.origin and spec.has_location else list(spec.submodule_search_locations or ())
    )
    top = spec.name.partition(".")[0]
    if not places or top == COULER or _is_runtime(spec.name):
        return False
    if top == OURS:
        return spec.name.startswith(_SHARED) or importer.partition(".")[0] == OURS
    installed = {sysconfig.get_path(p) for p in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(
        set(Path(p).parts) & set(SITES) or any(Path(p).is_relative_to(i) for i in installed if i)
        for p in places
    )


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def _is_runtime(name: str) -> bool:
    return name in RUNTIME or name.startswith(f"{OURS}.step")


def _take(name: str, spec: importlib.machinery.ModuleSpec, found: Found) -> list[str]:
    """Put a module's file and its package's data among the files; the modules that it imports."""
    stem = name.replace(".", "/")
    if spec.origin is None or not spec.has_location:  # a folder without __init__.py
        found.files[f"{stem}/"] = Path(next(iter(spec.submodule_search_locations or ())))
        return []
    source = Path(spec.origin)
    if source.name.endswith(_EXTENSIONS):
        raise UsageError(
            f"{source}: a compiled module cannot travel in a bundle; put it into an image: argosy build"
        )
    is_package = spec.submodule_search_locations is not None
    found.modules.add(name)
    found.files[f"{stem}/__init__.py" if is_package else f"{stem}.py"] = source
    if is_package:
        _take_data(stem, source.parent, found)
    tree = _parse(source)
    if line := _uses_file(tree):
        found.notes.append(
            f"{source}:{line}: __file__ lies inside of the bundle's zip in the pod; read data with "
            f"importlib.resources.files({(name if is_package else name.rpartition('.')[0])!r})"
        )
    package = name if is_package else name.rpartition(".")[0]
    return list(_imports(tree, package, inside_functions=not name.startswith(f"{OURS}.")))


def _take_data(stem: str, folder: Path, found: Found) -> None:
    """The files beside a package's modules, but for what a project keeps to itself."""
    for base, folders, names in os.walk(folder):
        here = Path(base)
        folders[:] = sorted(f for f in folders if _is_data_folder(here / f))
        for name in sorted(names):
            path = here / name
            if (
                name.startswith(".")
                or name.endswith((*_SUFFIXES_LEFT_OUT, *_EXTENSIONS))
                or not path.is_file()
            ):
                continue
            if not path.resolve().is_relative_to(folder.resolve()):
                found.notes.append(f"{path}: a link out of its package does not travel in the bundle")
                continue
            found.files[f"{stem}/{path.relative_to(folder).as_posix()}"] = path


def _is_data_folder(folder: Path) -> bool:
    return not (
        folder.name.startswith(".")
        or folder.name in _FOLDERS_LEFT_OUT
        or folder.is_symlink()
        or (folder / "__init__.py").exists()
        or (folder / "pyvenv.cfg").exists()
    )


def _parse(source: Path) -> ast.Module:
    try:
        return ast.parse(source.read_bytes(), str(source))
    except SyntaxError as error:
        raise UsageError(f"{source}:{error.lineno}: {error.msg}") from None
    except (ValueError, OSError) as error:
        raise UsageError(f"{source}: cannot be read as Python: {error}") from None


def _uses_file(tree: ast.Module) -> int | None:
    """The first line that asks where the module's file is."""
    lines = (n.lineno for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "__file__")
    return next(lines, None)


def _imports(tree: ast.Module, package: str, *, inside_functions: bool) -> Iterator[str]:
    """The modules that a source names in its imports; of `from a import b` both `a` and `a.b`."""
    for node in _statements(tree, inside_functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _statements(tree: ast.AST, inside_functions: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
            continue
        if isinstance(node, ast.If) and _is_for_types(node.test):
            yield from (n for branch in node.orelse for n in [branch, *_statements(branch, inside_functions)])
            continue
        yield node
        yield from _statements(node, inside_functions)


def _is_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])
