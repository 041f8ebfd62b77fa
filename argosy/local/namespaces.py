"""Declared paths as they are declared: a step's program sees its own files at `/tmp/out`, at `/mnt/vol`.

On Linux a program can have a view of the file system of its own (a mount namespace; see unshare(1)), without
being root. `Shown` makes the step's `root` folder the root of that view: in it lie what the step declares
and, mounted one by one, all other entries of this machine. Where a declared path lies in a folder that is
there on this machine, as `/tmp/out` does, that folder is the step's own too, and its other entries are
mounted in it. Outside of the program nothing is mounted, and nothing made but empty places in the step's
folder, which go when the program ends. `guard.py` enters the view.

ARGOSY_NAMESPACES=0 switches it off; then, and where the kernel refuses, paths are moved as `paths` says.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from argosy.local import guard

SWITCH = "ARGOSY_NAMESPACES"
TEMPORARY = "/tmp"
"""Where a program with a view has temporary files: beside what it declares, so that it can rename them."""

_CROWDED = 1000
"""Entries of a folder that is not worth being mounted one by one."""

_MACHINES = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
_KERNELS = ("/dev/", "/proc/", "/sys/")

_Tree = dict[str, Any]


def refusal(environment: Mapping[str, str]) -> str:
    """Why programs can have no view of their own here; empty if they can."""
    if environment.get(SWITCH) == "0":
        return f"{SWITCH}=0 switches its own view of the file system off"
    return _kernels_refusal()


@cache
def _kernels_refusal() -> str:
    """What the kernel says when a process tries it."""
    if sys.platform != "linux":
        return "only Linux gives a program its own view of the file system"
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        plan = Path(folder) / "plan"
        root = Path(folder) / "root"
        root.mkdir()
        plan.write_bytes(_joined([root, "/", root, root]))
        with warnings.catch_warnings():  # the child touches nothing that another thread may hold
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                guard.enter(str(plan))
                os._exit(0)
            except OSError as error:
                os._exit(error.errno or 255)
            finally:  # a C library without pivot_root, say
                os._exit(255)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        return ""
    why = os.strerror(code) if 0 < code < 255 else "it failed"
    return f"this machine gives a program no view of the file system of its own ({why})"


def _joined(words: Iterable[str | Path]) -> bytes:
    return b"\0".join(os.fsencode(word) for word in words)


def canonical(path: str) -> str:
    """A path with the links of this machine on the way to it resolved; its last part stays as it is."""
    return str(Path(os.path.realpath(Path(path).parent), Path(path).name))


def hidden(path: str, needed: Iterable[str]) -> str:
    """Why a declared path cannot be shown; empty if it can. `needed`: what programs need on this machine."""
    where = canonical(path)
    if os.path.normpath(path) != path or where.startswith(_KERNELS):
        return "that is no place for files of a step"
    for place in (*_MACHINES, *(name for known in needed for name in (known, os.path.realpath(known)))):
        if place == where or place.startswith(f"{where}/"):
            return f"there it would hide {place}, which programs need here"
    for folder in Path(where).parents[:-1]:
        try:
            if len(list(folder.iterdir())) > _CROWDED:
                return f"{folder} has more than {_CROWDED} entries"
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{folder} cannot be read: {error.strerror}"
    return ""


def own_temporary(paths: Iterable[str]) -> bool:
    """Whether programs that see these paths have temporary files of their own at TEMPORARY."""
    return TEMPORARY in paths or (not Path(TEMPORARY).is_symlink() and not hidden(f"{TEMPORARY}/x", ()))


class Shown:
    """A program's view: `root` with what it declares (`paths`), and this machine's other entries.

    Args:
        root: the folder that becomes `/`; the step's files lie in it where they are declared.
        paths: the declared paths, canonical.
        volumes: folders that are mounted, and where.
    """

    def __init__(self, root: Path, paths: Iterable[str], volumes: Iterable[tuple[Path, str]]) -> None:
        self._root = Path(os.path.realpath(root))
        self._paths = tuple(paths)
        self._volumes = sorted(volumes, key=lambda volume: len(volume[1]))
        self._mounts: list[str | Path] = []
        self._made: list[Path] = []

    def lay(self, plan: Path, cwd: str) -> None:
        """Make the places that things are mounted at, and write down for `guard.py` what is to be done.

        Raises OSError.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        self._mounts = [self._root, self._root]
        tree = _tree(self._paths)
        if own_temporary(self._paths):
            tree.setdefault(TEMPORARY.strip("/"), {"": {}})
        for name, inside in tree.items():
            if not inside and Path("/", name).is_dir():  # the image has it, as this machine has
                (self._root / name).mkdir(exist_ok=True)
        self._fill("/", tree)
        for source, target in self._volumes:
            self._mounts += [source, f"{self._root}{target}"]
        plan.write_bytes(_joined([self._root, cwd, *self._mounts]))

    def clear(self) -> None:
        """Remove the places again; the program's own files stay."""
        for place in reversed(self._made):
            with suppress(OSError):  # a folder of this machine's that the program has put files into
                if place.is_dir() and not place.is_symlink():
                    place.rmdir()
                else:
                    place.unlink()
        self._made.clear()

    def _fill(self, folder: str, own: _Tree) -> None:
        """Show the entries of a folder of this machine but those that the step has itself."""
        with os.scandir(
            folder
        ) as entries:  # what holds the root comes first: before anything is mounted in it
            found = sorted(entries, key=lambda entry: not self._root.is_relative_to(entry.path))
        for entry in found:
            inside = own.get(entry.name)
            if inside is None:
                self._show(entry)
            elif inside and entry.is_dir(follow_symlinks=False):
                self._make(entry.path, Path.mkdir)
                self._fill(entry.path, inside)

    def _show(self, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink():
            with suppress(FileNotFoundError):
                link = Path(entry.path).readlink()
                self._make(entry.path, lambda place: place.symlink_to(link))
            return
        self._make(entry.path, Path.mkdir if entry.is_dir() else _touch)
        self._mounts += [entry.path, f"{self._root}{entry.path}"]

    def _make(self, path: str, make: Callable[[Path], None]) -> None:
        place = Path(f"{self._root}{path}")
        with suppress(FileExistsError):
            make(place)
            self._made.append(place)


def _touch(place: Path) -> None:
    place.touch(mode=0o600, exist_ok=False)


def _tree(paths: Iterable[str]) -> _Tree:
    """The paths part by part; what lies below another one of them needs nothing of its own."""
    tree: _Tree = {}
    planted: list[str] = []
    for path in sorted(paths, key=len):
        if not any(path.startswith(f"{above}/") for above in planted):
            planted.append(path)
            below = tree
            for part in path.strip("/").split("/"):
                below = below.setdefault(part, {})
    return tree
