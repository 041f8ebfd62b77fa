"""Which files of a project a module needs: its own, those that it imports, and the data of their packages.

A bundle takes these alone; an image has room, and takes packages whole.

Nothing is imported to find out: modules are located as Python would, and their imports are read from their
source. An installed module belongs to the image, as the standard library does.
"""

import ast
import importlib.machinery
import os
import pkgutil
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from argosy.compose.settings import Settings
from argosy.errors import UsageError
from argosy.step.runtime import MODULES as RUNTIME

SITES = ("site-packages", "dist-packages")
_FOLDERS_LEFT_OUT = ("__pycache__", "node_modules")
_SUFFIXES_LEFT_OUT = (".pyc", ".pyo", ".pyi", ".env")
# Files that hold private keys by their names; others are told by what is in them.
_KEYS = (".key", ".p12", ".pfx", ".jks", ".keystore", ".ppk")
_SSH_KEYS = ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk")
_KEY_INSIDE = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_BELOW = 1024 * 1024  # bytes: what holds more than this is no file of keys
_UNASKED = 512 * 1024
"""Bytes that sub-packages may have that travel for their data's sake alone: a ConfigMap takes 1 MiB."""
_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)
OURS, COULER = "argosy", "couler"
_ALL = ".*"
_SHARED = (f"{OURS}.components", f"{OURS}.pipelines")


@dataclass
class Found:
    """The files that some modules need of their project.

    Attributes:
        files: by their names below an entry of `sys.path`; a name that ends with `/` is a folder.
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


def find(modules: Iterable[str], folders: Iterable[str] = (), *, whole: bool = False) -> Found:
    """The files that these modules need.

    Args:
        modules: by their importable names.
        folders: where they are looked for before `sys.path`.
        whole: whether packages go along with all that is in them, imported or not; where folders have no
            `__init__.py`, the one that holds the module.

    Raises:
        UsageError: one of them is a compiled extension, and not `whole`; is no Python; or imports a module of
            the standard library whose name the project has, too.
    """
    return _Collector([*folders, *sys.path], whole).collect(list(modules))


class _Collector:
    """Follows imports from module to module."""

    def __init__(self, search: list[str], whole: bool) -> None:
        self._search, self._whole = search, whole
        self._secret = secret_file()
        self._found = Found()
        self._seen: set[str] = set()
        self._taken: set[Path] = set()
        self._pending: list[tuple[str, str]] = []

    def collect(self, modules: list[str]) -> Found:
        found = self._found
        found.missing = [m for m in modules if not _is_standard(m) and _locate(m, self._search) is None]
        self._pending = [(m, "") for m in modules]
        self._follow_all()
        if not self._whole:
            self._take_data_below()
        found.absent -= found.modules
        return found

    def _follow_all(self) -> None:
        while self._pending:
            self._follow(*self._pending.pop())

    def _take_data_below(self) -> None:
        """Put the sub-packages that hold data among the files, with what they import, while they are small.

        A step reads `files("shop.data")`, or `files("shop") / "data"`, without any import.
        """
        found, left = self._found, _UNASKED
        for name, folder in self._holding_data():
            inner = _Collector(self._search, whole=False)
            inner._pending = [(name, "")]
            try:
                inner._follow_all()
            except UsageError as error:
                found.notes.append(f"{error}; the data of '{name}', which nothing imports, does not travel")
                continue
            part = inner._found
            new = {n: path for n, path in part.files.items() if n not in found.files}
            size = sum(path.stat().st_size for path in new.values() if path.is_file())
            if size > left:
                found.notes.append(
                    f"{printable(folder)}: {size / 2**20:.1f} MiB of a package that nothing imports do not "
                    f"travel; 'import {name}' in the module of a step that reads its data"
                )
                continue
            left -= size
            found.files |= new
            found.modules |= part.modules
            found.absent |= part.absent
            found.notes += [note for note in part.notes if note not in found.notes]

    def _holding_data(self) -> Iterator[tuple[str, Path]]:
        """The sub-packages of the packages that travel which hold data, and are not among them yet."""
        own = {n: p.parent for n, p in self._found.files.items() if n.endswith("/__init__.py")}
        places = {n.removesuffix("/__init__.py"): p for n, p in own.items() if not n.startswith(f"{OURS}/")}
        below = {
            f"{stem.replace('/', '.')}.{'.'.join(folder.relative_to(top).parts)}": folder
            for stem, top in places.items()
            for folder in _packages_below(top)
        }
        for name, folder in sorted(below.items()):
            data = files_below(folder, [], self._secret, modules=False)
            if name not in self._found.modules and next(data, None) is not None:
                yield name, folder

    def _follow(self, name: str, importer: str) -> None:
        if name.endswith(_ALL):
            self._pending += [
                (f"{name.removesuffix(_ALL)}.{n}", importer) for n in self._listed(name, importer)
            ]
            return
        if name in self._seen or (spec := _locate(name, self._search)) is None:
            return
        parent = name.rpartition(".")[0]
        if _is_own(spec, importer):
            self._seen.add(name)
            self._found.absent.discard(name)
            self._pending += [(parent, importer)] if parent else []
            self._pending += [(n, name) for n in self._take(name, spec)]
            if self._whole and name.partition(".")[0] != OURS:
                self._take_whole(name, spec)
        elif name.partition(".")[0] in (OURS, COULER) and not _is_runtime(name):
            self._found.absent.add(name)
            self._pending += [(parent, importer)] if parent not in ("", OURS) else []

    def _listed(self, name: str, importer: str) -> tuple[str, ...]:
        """The names that `from package import *` takes; Python imports modules of the package among them."""
        spec = _locate(name.removesuffix(_ALL), self._search)
        if spec is None or spec.submodule_search_locations is None or not spec.has_location:
            return ()
        return _text_of(Path(str(spec.origin))).listed if _is_own(spec, importer) else ()

    def _take(self, name: str, spec: importlib.machinery.ModuleSpec) -> list[str]:
        """Put a module's file and its package's data among the files; the modules that it imports."""
        found, stem = self._found, name.replace(".", "/")
        if spec.origin is None or not spec.has_location:  # a folder without __init__.py
            found.files[f"{stem}/"] = Path(next(iter(spec.submodule_search_locations or ())))
            return []
        source = Path(spec.origin)
        is_package = spec.submodule_search_locations is not None
        if source.name.endswith(_EXTENSIONS) and not self._whole:
            raise UsageError(
                f"{source}: a compiled module cannot travel in a bundle; put it into an image: argosy build"
            )
        found.modules.add(name)
        if source.name.endswith(_EXTENSIONS):
            found.files[str(Path(stem).with_name(source.name))] = source
            return []
        found.files[f"{stem}/__init__.py" if is_package else f"{stem}.py"] = source
        if is_package and not self._whole:
            data = files_below(source.parent, found.notes, self._secret, modules=False)
            found.files |= {f"{stem}/{path}": file for path, file in data}
        text = _text_of(source)
        package = name if is_package else name.rpartition(".")[0]
        if (line := text.uses_file) and (note := self._note_of_data(name, package)):
            found.notes.append(f"{source}:{line}: {note}")
        every = self._whole or not name.startswith(f"{OURS}.")
        imported = list(_absolute_names(text.imports if every else text.imports_at_once, package))
        if name.partition(".")[0] != OURS:
            _refuse_taken_names(name, source, imported)
        return imported

    def _note_of_data(self, name: str, package: str) -> str:
        """A warning for a module that asks where its file is, if that may surprise."""
        if not self._whole:
            return (
                "__file__ lies inside of the bundle's zip in the pod; read data with "
                f"importlib.resources.files({package!r})"
            )
        alone = "." not in name and package != name
        return "files beside a module travel only in a package, a folder with __init__.py" if alone else ""

    def _take_whole(self, name: str, spec: importlib.machinery.ModuleSpec) -> None:
        """Put all of a module's outermost package among the files; what its modules import is followed."""
        unit = self._unit(name, spec)
        if unit is None or unit[1] in self._taken:
            return
        package, folder = unit
        self._taken.add(folder)
        for path, file in files_below(folder, self._found.notes, self._secret):
            stem = f"{package.replace('.', '/')}/{path}"
            if stem not in self._found.files:
                self._found.files[stem] = file
                if file.suffix == ".py":
                    module = stem.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                    inside = module if file.name == "__init__.py" else module.rpartition(".")[0]
                    self._pending += [(n, module) for n in _imports_if_python(file, inside)]

    def _unit(self, name: str, spec: importlib.machinery.ModuleSpec) -> tuple[str, Path] | None:
        """The outermost package that a module is in, else the folder that holds it, and their names."""
        words = name.split(".")
        for number in range(1, len(words) + 1):
            outer = ".".join(words[:number])
            found = _locate(outer, self._search)
            if found and found.origin and found.has_location and found.submodule_search_locations is not None:
                return outer, Path(found.origin).parent
        if len(words) > 1 and spec.origin and spec.has_location:
            return ".".join(words[:-1]), Path(spec.origin).parent
        return None


def _refuse_taken_names(name: str, source: Path, imported: Iterable[str]) -> None:
    """Refuse an import that means the standard library or the project, whichever comes first.

    Here that depends on what was imported before; in a pod the project comes first, for the library, too.
    """
    depth = len(name.split(".")) + (source.name == "__init__.py")
    root = source.parents[depth - 1]
    for first in {i.partition(".")[0] for i in imported if _is_standard(i)}:
        for own in (root / f"{first}.py", root / first / "__init__.py"):
            if own.is_file():
                raise UsageError(
                    f"{own}: Python has a module '{first}' itself, and {source} imports it; rename the file"
                )


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


def secret_file() -> Path | None:
    """The file of Secrets that the settings name, which no code takes along."""
    secret = Settings.find().secrets
    return None if secret is None else secret.resolve()


def files_below(
    folder: Path, notes: list[str], secret: Path | None = None, *, modules: bool = True
) -> Iterator[tuple[str, Path]]:
    """The files of a folder by their paths in it, but for what a project keeps to itself.

    That is: names that begin with a dot, `*.env`, caches and environments; and with a line for `notes` each
    the file `secret`, private keys, and links out of the folder. Without `modules` the data of one package:
    no modules, and no packages below.
    """
    suffixes = _SUFFIXES_LEFT_OUT if modules else (*_SUFFIXES_LEFT_OUT, ".py", *_EXTENSIONS)
    for base, folders, names in os.walk(folder):
        here = Path(base)
        below = [here / f for f in sorted(folders) if not _is_left_out(here / f)]
        odd = [f for f in below if _is_no_text(f)]
        notes += [f"{printable(f)}: a name that is not UTF-8 does not travel" for f in odd]
        below = [f for f in below if f not in odd]
        if not modules:
            below = [f for f in below if not (f / "__init__.py").exists()]
        notes += [f"{printable(f)}: a link to a folder does not travel" for f in below if f.is_symlink()]
        folders[:] = [f.name for f in below if not f.is_symlink()]
        for name in sorted(names):
            path = here / name
            if name.startswith(".") or name.endswith(suffixes):
                continue
            if hindrance := _hindrance(path, folder) or _secrecy(path, secret):
                notes.append(f"{printable(path)}: {hindrance} does not travel")
                continue
            yield path.relative_to(folder).as_posix(), path


def _packages_below(top: Path) -> Iterator[Path]:
    """The packages below a package's folder that an import can name."""
    for base, folders, _ in os.walk(top):
        below = [Path(base, name) for name in folders if name.isidentifier()]
        folders[:] = [f.name for f in below if not _is_left_out(f) and not f.is_symlink()]
        yield from (f for f in below if f.name in folders and (f / "__init__.py").is_file())


def _hindrance(path: Path, folder: Path) -> str:
    """Why a file of a folder cannot go along, if it cannot."""
    if not path.is_file():
        return "a link to no file" if path.is_symlink() else "what is no plain file"
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return "a link out of its package"
    return "a name that is not UTF-8" if _is_no_text(path) else ""


def _secrecy(path: Path, secret: Path | None) -> str:
    """Why a file is nobody else's to see; empty where others may."""
    if secret is not None and path.resolve() == secret:
        return "the file that 'secrets' in argosy.yaml names"
    return "a private key" if _is_key(path) else ""


def _is_key(path: Path) -> bool:
    """Whether a file is one of private keys; a certificate alone is none."""
    if path.suffix.lower() in _KEYS or path.name in _SSH_KEYS:
        return True
    try:
        state = path.stat()
        small = path.suffix != ".py" and state.st_size <= _KEY_BELOW
        return small and _has_key(path, state.st_mtime_ns, state.st_size)
    except OSError:  # whoever takes the file along says so
        return False


@cache
def _has_key(path: Path, changed: int, size: int) -> bool:
    """Whether a key stands in a file; `changed` and `size` tell it from what it was before."""
    return _KEY_INSIDE.search(path.read_bytes()) is not None


def _is_no_text(path: Path) -> bool:
    """Whether a name has bytes that Python stands in for by lone surrogates."""
    return any(0xDC80 <= ord(c) <= 0xDCFF for c in path.name)


def printable(name: str | Path) -> str:
    """A file's name as it can stand in one line: line ends, and bytes that are no text, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))


def _is_left_out(folder: Path) -> bool:
    name = folder.name
    environment = (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()
    return name.startswith(".") or name in _FOLDERS_LEFT_OUT or environment


@dataclass(frozen=True)
class _Text:
    """The imports in a module's text.

    Attributes:
        imports: level, module and name of each import, as they stand there.
        imports_at_once: those that no function waits with.
        listed: the names in `__all__`, as far as they are written out.
        uses_file: the first line that asks where the module's file is.
    """

    imports: tuple["_Import", ...]
    imports_at_once: tuple["_Import", ...]
    listed: tuple[str, ...]
    uses_file: int | None


_Import = tuple[int, str, str]


def _text_of(source: Path) -> _Text:
    """The imports in a module's text; it is parsed once, however often one command asks.

    Raises:
        UsageError: it cannot be read as Python.
    """
    try:
        state = source.stat()
        return _parsed(source, state.st_mtime_ns, state.st_size)
    except SyntaxError as error:
        raise UsageError(f"{source}:{error.lineno}: {error.msg}") from None
    except (ValueError, OSError) as error:
        raise UsageError(f"{source}: cannot be read as Python: {error}") from None


@cache
def _parsed(source: Path, changed: int, size: int) -> _Text:
    """As `_text_of`; `changed` and `size` tell a file from what it was before."""
    tree = ast.parse(source.read_bytes(), str(source))
    lines = (n.lineno for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == "__file__")
    every, at_once = (tuple(_imports(tree, inside_functions=inside)) for inside in (True, False))
    return _Text(every, at_once, tuple(_listed_in(tree)), next(lines, None))


def _imports_if_python(source: Path, package: str) -> list[str]:
    """The imports of a file that nobody is known to import: it may be a template, or of another Python."""
    try:
        return list(_absolute_names(_text_of(source).imports, package))
    except UsageError:
        return []


def _imports(tree: ast.AST, *, inside_functions: bool) -> Iterator[_Import]:
    for node in _statements(tree, inside_functions):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, node.module or "", alias.name) for alias in node.names)


def _listed_in(tree: ast.Module) -> Iterator[str]:
    """The texts that stand in a statement about `__all__`: it may be set, added to or extended."""
    for node in tree.body:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        if "__all__" in names and isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr):
            texts = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
            yield from (t for t in texts if isinstance(t, str) and t.isidentifier())


def _absolute_names(imports: Iterable[_Import], package: str) -> Iterator[str]:
    """The modules that imports name; of `from a import b` both `a` and `a.b`, with `*` also `a.*`."""
    parts = package.split(".")
    for level, module, name in imports:
        above = parts[: len(parts) - level + 1] if level else []
        base = ".".join([*above, *filter(None, [module])])
        if base:
            yield base
            if name:
                yield f"{base}.{name}"


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
