"""Under which name Python can import a file, wherever the command is given.

A step's container imports the module that declares the step, so the name in its command must be one that
holds there, too: `myproj.pipelines.train`, not `train` because somebody stood in `myproj/pipelines`.
"""

from __future__ import annotations

import importlib
import keyword
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

# Files that stand at the top of a project; the last is how a project without packaging says it.
MARKERS = ("pyproject.toml", "setup.cfg", "setup.py", "argosy.yaml")
_added: set[str] = set()


@dataclass(frozen=True)
class Home:
    """A module's importable name, and the folders that Python's path needs for it, in this order."""

    name: str
    folders: tuple[str, ...]


def home_of(path: Path) -> Home:
    """Where a file, or a package's folder, is imported from.

    A file of a package (each folder with an `__init__.py`) starts at the topmost package. Any other starts at
    the folder of PYTHONPATH or of an installed project that it lies below, else at the top of its project
    (see `MARKERS`; at its `src` for what is in there), else at the current directory; in each case only if
    all names between are Python's and no other module has the first one. The rest starts at its own
    folder. Beside such a root the own folder is on the path, as for a script, for the sake of its neighbours.
    """
    path = path.resolve()
    top = _package_top(path)
    if top != path.parent:
        return Home(_dotted(top, path), (str(top),))
    for root in _roots(path.parent):
        name = _dotted(root, path)
        if name and _is_free(name, root):
            return Home(name, (str(root), str(path.parent)))
    return Home(path.stem, (str(path.parent),))


def prefer(*folders: str) -> None:
    """Put folders at the beginning of Python's path, where they are not on it yet."""
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
            _added.add(folder)
    importlib.invalidate_caches()


def is_from(module: ModuleType, path: Path) -> bool:
    """Whether a module was made from this file, or from this package's folder."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() in (path.resolve(), path.resolve() / "__init__.py")


def _package_top(path: Path) -> Path:
    top = path.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    return top


def _roots(folder: Path) -> Iterator[Path]:
    above = [folder, *folder.parents]
    here = Path.cwd()
    known = {Path(entry).resolve() for entry in sys.path if entry and entry not in _added}
    known |= {Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    yield from (root for root in above if root in known and root != here)
    project = next((root for root in above if any((root / marker).is_file() for marker in MARKERS)), None)
    if project is not None:
        source = project / "src"
        yield source if folder.is_relative_to(source) else project
    if here in above:
        yield here


def _dotted(root: Path, path: Path) -> str:
    """The name from a root, or nothing where a folder's name is none of Python's."""
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    good = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return ".".join(parts) if good else ""


def _is_free(name: str, root: Path) -> bool:
    """Whether the first word of a name, looked for from `root`, is found there and nowhere else."""
    first = name.partition(".")[0]
    # Python 3.9, which may read this in a container, has no list of the standard library.
    if first in getattr(sys, "stdlib_module_names", ()) or first in sys.builtin_module_names:
        return False
    known = sys.modules.get(first)
    if known is not None and getattr(known, "__file__", None) is not None:
        return any(is_from(known, root / word) for word in (first, f"{first}.py"))
    spec = PathFinder.find_spec(first, [str(root), *sys.path])
    if spec is None:
        return False
    places = [Path(p) for p in spec.submodule_search_locations or ()]
    return root / first in places or spec.origin == str(root / f"{first}.py")
