"""Finding components: those that come with Argosy, and those of a user's module, folder or file.

A package's other modules may import whatever they like: only those whose text declares a component are
imported.
"""

import ast
import importlib.util
import keyword
import os
import sys
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from argosy.compose.loader import import_module, load_file
from argosy.declare.component import Component
from argosy.declare.modules import home_of, is_from, prefer
from argosy.errors import UsageError
from argosy.step.quiet import keep_couler_quiet
from argosy.text import did_you_mean

BUILT_IN = "argosy.components"
# Modules of the functions that stand where another team's step has its own.
_STAND_INS = ("argosy.reuse.", "argosy.declare.referenced")
_MAKERS = {"component", "load_component", "load_library", "template_ref"}


@dataclass(frozen=True)
class Entry:
    """A component, and how a program gets hold of it.

    Attributes:
        component: the component.
        module: what to import it from.
        name: under which name.
    """

    component: Component[Any, Any]
    module: str
    name: str

    @property
    def group(self) -> str:
        """The last word of the package: `training` for `argosy.components.training`."""
        return self.module.rpartition(".")[2]


def find_components(target: str | None = None) -> list[Entry]:
    """The components of an importable module or package, a folder or a `.py` file; without one, Argosy's own.

    Raises:
        UsageError: there is no such module, it cannot be imported, or it declares no component.
    """
    found = declared_in(modules_of(target or BUILT_IN))
    if not found:
        raise UsageError(f"'{target}' declares no component; mark a function with @component(...)")
    return sorted(found, key=lambda e: (e.module, e.component.interface.name))


def modules_of(target: str, *, pipelines: bool = False) -> list[ModuleType]:
    """The modules of an importable name, a folder or a `.py` file whose text declares components.

    Args:
        target: as `find_components` takes it.
        pipelines: whether modules that declare a pipeline count, too.

    Raises:
        UsageError: there is no such module, or one cannot be imported.
    """
    try:
        return list(_modules(target, _MAKERS | {"pipeline"} if pipelines else _MAKERS))
    finally:
        keep_couler_quiet()


def declared_in(modules: Iterable[ModuleType]) -> list[Entry]:
    """The components that modules declare, each once."""
    return list({id(e.component): e for module in modules for e in _declared(module)}.values())


def pick(entries: list[Entry], name: str) -> Entry:
    """The entry whose step, or whose Python name, is `name`.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = [e for e in entries if name in (e.component.interface.name, e.name)]
    if not found:
        names = [e.component.interface.name for e in entries]
        ours = all(e.module.startswith("argosy.components") for e in entries)
        where = " (these come with Argosy: --module FILE.py looks among yours)" if ours else ""
        raise UsageError(f"unknown component '{name}'{did_you_mean(name, names)}{where}")
    if len(found) > 1:
        places = ", ".join(e.module for e in found)
        raise UsageError(f"'{name}' is declared in {places}; say which with --module")
    return found[0]


def _modules(target: str, makers: Set[str]) -> Iterator[ModuleType]:
    path = Path(target)
    if path.suffix == ".py" and not path.exists():
        raise UsageError(f"there is no file '{target}'")
    if path.suffix == ".py" and path.name != "__init__.py":
        yield load_file(path)
    elif path.suffix == ".py" or (path / "__init__.py").is_file():
        yield from _in_package(path, makers)
    elif path.is_dir():
        yield from _in_folder(path, makers)
    else:
        prefer(str(Path.cwd()))
        yield from _in_module(target, target, makers)


def _in_folder(folder: Path, makers: Set[str]) -> Iterator[ModuleType]:
    """The modules in a folder that is no package, each under the name that other programs import it by.

    Those that lie higher come first: a package's copy, as in `build/lib/`, is passed over.
    """
    folders = [folder]
    for here in folders:
        for file in sorted(here.glob("*.py")):
            if _declares(file, makers):
                yield load_file(file)
        for below in _folders(here):
            if not (below / "__init__.py").is_file():
                folders.append(below)
            elif _is_free(below):
                yield from _in_package(below, makers)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.is_dir() and not _is_passed_over(f))
    except OSError:  # a folder that is somebody else's
        return []


def _in_package(path: Path, makers: Set[str]) -> Iterator[ModuleType]:
    home = home_of(path)
    prefer(*home.folders)
    yield from _in_module(home.name, str(path), makers)


def _in_module(name: str, target: str, makers: Set[str]) -> Iterator[ModuleType]:
    """A module, or those of a package whose text declares something."""
    spec = _spec(name, target)
    if not spec.submodule_search_locations:
        yield import_module(name)
        return
    for folder in map(Path, spec.submodule_search_locations):
        for file in _files(folder):
            if _declares(file, makers):
                yield import_module(_dotted(name, folder, file))


def _files(folder: Path) -> Iterator[Path]:
    """The Python files of a package that an import can name."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_passed_over(Path(base, name))]
        found += [Path(base, name) for name in names if name.endswith(".py")]
    return iter(sorted(found))


def _is_passed_over(folder: Path) -> bool:
    """Whether no module of a project lies in a folder: no import can name it, or its content is a copy."""
    name = folder.name
    foreign = name == "__pycache__" or (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()
    copied = (folder / "sdk" / "argosy").is_dir()  # by `argosy build --dockerfile`
    return not name.isidentifier() or keyword.iskeyword(name) or foreign or copied or folder.is_symlink()


def _is_free(package: Path) -> bool:
    """Whether no other package of that name has been imported."""
    known = sys.modules.get(package.name)
    return known is None or getattr(known, "__file__", None) is None or is_from(known, package)


def _spec(name: str, target: str) -> Any:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None and Path(target).is_file():
        raise UsageError(f"'{target}' is no Python file (.py), no module and no folder")
    if spec is None:
        raise UsageError(f"there is no module, folder or file '{target}'")
    return spec


def _dotted(package: str, folder: Path, file: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join((package, *parts)).removesuffix(".__init__")


def _declares(file: Path, makers: Set[str]) -> bool:
    """Whether a module's text makes something with these of Argosy; unreadable text is left to the import."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "argosy":
            if makers & {a.name for a in node.names}:
                return True
        elif isinstance(node, ast.Attribute) and node.attr in makers:
            return True
    return False


def _declared(module: ModuleType) -> Iterator[Entry]:
    """The module's own declarations, without those that it imports."""
    for name, value in vars(module).items():
        if not isinstance(value, Component):
            continue
        own = value.function.__module__
        if own == module.__name__ or own.startswith(_STAND_INS):
            yield Entry(value, _importable_from(module.__name__, name), name)


def _importable_from(module: str, name: str) -> str:
    """The package, if the module is called as its component and the package hands that on."""
    package, _, last = module.rpartition(".")
    parent = sys.modules.get(package)
    return package if last == name and isinstance(getattr(parent, name, None), Component) else module
