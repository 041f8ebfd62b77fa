"""The code that an image holds: the project's modules that its steps need, and the SDK.

Steps find it by PYTHONPATH: the project first, then the packages, then the SDK.
"""

import ast
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from argosy.code.build.errors import BuildError
from argosy.code.build.layers import File, Layer, make_layer
from argosy.declare.component import Component
from argosy.step import runtime

ROOT = "opt/argosy"
CODE, PACKAGES, SDK = f"{ROOT}/code", f"{ROOT}/packages", f"{ROOT}/sdk"
PATH = f"/{CODE}:/{PACKAGES}:/{SDK}"
_COULER = '''"""A stand-in: a step's module may import Couler, and the step never calls it."""

from argosy.step.absent import Absent


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Absent(f"couler.{name}")
'''
_REUSED = re.compile(rb"\bargosy\.(components|pipelines)\b")
_LARGE = 64 * 1024 * 1024
# So many layers at most: the container's file system allows 127, and the base has some.
_PARTS = 16


def project_files(components: Iterable[Component[Any, Any]]) -> dict[str, Path]:
    """The files of the project that steps need, by their paths below its root: modules, and packages whole.

    A step's own module, and transitively what it imports from the same folder.

    Raises:
        BuildError: a step comes from an installed package, or there is very much.
    """
    found: dict[str, Path] = {}
    for component in components:
        module = component.module
        if not module.startswith("argosy."):
            _add(_root(component), module.partition(".")[0], found)
    if (size := sum(f.stat().st_size for f in found.values())) > _LARGE:
        largest = sorted(found.items(), key=lambda pair: -pair[1].stat().st_size)[:3]
        names = ", ".join(f"{name} ({file.stat().st_size / 2**20:.0f} MiB)" for name, file in largest)
        raise BuildError(f"the project's code has {size / 2**20:.0f} MiB, of which most is data: {names}")
    return dict(sorted(found.items()))


def _root(component: Component[Any, Any]) -> Path:
    """The folder that the step's module is imported from."""
    file = Path(sys.modules[component.function.__module__].__file__ or "").resolve()
    if "site-packages" in file.parts:
        name = component.module.partition(".")[0]
        raise BuildError(
            f"step '{component.interface.name}' comes from the package '{name}': put that into packages"
        )
    package = component.module.split(".") if file.name == "__init__.py" else component.module.split(".")[:-1]
    return file.parents[len(package)]


def _add(root: Path, name: str, found: dict[str, Path]) -> None:
    """Add a module or a package of `root`, and what it imports from there."""
    single, package = root / f"{name}.py", root / name
    files = [single] if single.is_file() else list(_package_files(package)) if package.is_dir() else []
    for file in files:
        path = file.relative_to(root).as_posix()
        if path in found:
            return
        found[path] = file
    for file in files:
        if file.suffix == ".py":
            for imported in _imports(file):
                _add(root, imported, found)


def _package_files(folder: Path) -> Iterator[Path]:
    if not any(folder.glob("*.py")) and not any(folder.glob("*/*.py")):
        return
    for place, below, files in os.walk(folder):
        below[:] = sorted(d for d in below if not _is_left_out(Path(place) / d))
        for name in sorted(files):
            file = Path(place) / name
            if not name.startswith(".") and file.suffix not in (".pyc", ".pyo") and file.is_file():
                yield file


def _is_left_out(folder: Path) -> bool:
    """Caches, hidden folders and environments are no code."""
    return folder.name.startswith(".") or folder.name == "__pycache__" or (folder / "pyvenv.cfg").is_file()


def _imports(file: Path) -> set[str]:
    """The first words of what a module imports; a package's own parts are there already."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found - {"argosy"}


def code_digest(files: Mapping[str, Path]) -> str:
    """One digest for the project's code: another one, as soon as a file has other bytes."""
    digests = {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in files.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def code_layers(files: Mapping[str, Path]) -> list[Layer]:
    """The project's code in several layers, each file always in the same: a change sends its part alone."""
    parts: dict[int, dict[str, File]] = {}
    for number, (path, file) in enumerate(files.items()):
        part = number if len(files) <= _PARTS else hashlib.sha256(path.encode()).digest()[0] % _PARTS
        parts.setdefault(part, {})[f"{CODE}/{path}"] = File(file)
    return [make_layer(files, "code of the project") for _, files in sorted(parts.items())]


def sdk_files(*, whole: bool) -> dict[str, File]:
    """What steps need of Argosy; all of it where Argosy's own components are among them."""
    found = {f"{SDK}/couler/__init__.py": File(b""), f"{SDK}/couler/argo.py": File(_COULER.encode())}
    if not whole:
        return found | {f"{SDK}/{name}": File(file) for name, file in runtime.files().items()}
    for name in ("argosy", "argosy.components", "argosy.pipelines"):
        spec = importlib.util.find_spec(name)
        for folder in map(Path, (spec.submodule_search_locations if spec else None) or ()):
            for file in _package_files(folder):
                path = f"{name.replace('.', '/')}/{file.relative_to(folder).as_posix()}"
                found[f"{SDK}/{path}"] = File(file)
    return found


def needs_whole_sdk(components: Iterable[Component[Any, Any]], files: Mapping[str, Path]) -> bool:
    """Whether steps are Argosy's own, or stand on components of Argosy's."""
    own = any(c.module.startswith("argosy.") for c in components)
    return own or any(_REUSED.search(f.read_bytes()) for f in files.values() if f.suffix == ".py")
