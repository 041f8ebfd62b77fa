"""Where a container's absolute paths lie on this machine: in a view of its file system, or moved.

Steps run side by side on one file system, so every path that a template declares (paths of input and output
artifacts and of output parameters, mount paths of volumes except /dev/shm, the working directory) lies below
the step's own folder: `/tmp/outputs/result` is `<step>/root/tmp/outputs/result`.

On Linux a program can have a view of the file system of its own (a mount namespace; see unshare(1)), without
being root: it finds its files under their declared paths, and nothing is rewritten. `Shown` says what is in
it: this machine's entries, mounted one by one, but at the declared paths the step's own files and volumes. A
folder of this machine in which the program is to make a file, as `/tmp` for `/tmp/out`, is a folder of the
step with the other entries mounted in it. The step's `/tmp` is its own: of this machine's it has what the
command line or the environment names. Outside of the program nothing is mounted, and nothing made but empty
places in the step's folder, which go when the program ends. `guard.py` enters the view.

ARGOSY_NAMESPACES=0 switches it off; then, and where the kernel refuses, the path is moved. The rule of that,
exactly:

- `{{inputs.artifacts.X.path}}`, `{{outputs.artifacts.X.path}}` and `{{outputs.parameters.X.path}}` give the
  moved path.
- A declared path that the manifest itself writes in `command`, `args`, an `env` value or the `source` of a
  script is moved too, where it stands alone or is followed by `/`: `/data` in `--dir=/data/x` is, in
  `/database` or `/my/data` it is not.
- Values are never touched: a parameter that contains such a path arrives as it was given.
- A path that is only built into a program is not moved. Such a program finds nothing there, and an output
  it writes there is reported as missing.
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

_MOST_LINKS = 40
_NAME_CHARACTERS = frozenset("_-.~+@")

VIEW_SWITCH = "ARGOSY_NAMESPACES"
TEMPORARY = ("/tmp", "/var/tmp")
"""Folders that are a container's own; the first is where a program with a view has its temporary files."""

_CROWDED = 1000
"""Entries of a folder that is not worth being mounted one by one."""

_MACHINES = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
_KERNELS = ("/dev/", "/proc/", "/sys/")

_Tree = dict[str, Any]


def cleaned(declared: Iterable[str]) -> frozenset[str]:
    """The absolute ones of these paths, without a slash at the end."""
    return frozenset(path.rstrip("/") for path in declared if path.startswith("/")) - {""}


class PathMap:
    """Declared absolute paths, and the folder that they lie below.

    Args:
        declared: the paths.
        root: that folder.
        work: the folder that relative paths are below of.
        moved: those that the program does not see as they are declared, and why; None: all of them, as it
            gets each by its tag.
    """

    def __init__(
        self, declared: Iterable[str], root: Path, work: Path, moved: Mapping[str, str] | None = None
    ) -> None:
        self.root = root
        self._work = work
        paths = cleaned(declared)
        self._why = dict.fromkeys(paths, "") if moved is None else dict(moved)
        self._declared = sorted(self._why, key=len, reverse=True)
        self.shown = {path: canonical(path) for path in sorted(paths - set(self._why), key=len)}
        """Where the paths that the program sees as they are declared lie in its view."""
        self.volumes: dict[str, Path] = {}
        """Folders that are mounted in that view, by their paths."""

    def place(self, path: str) -> Path:
        """Where a declared path lies outside of the view; a relative one is below the working directory."""
        if not path.startswith("/"):
            return self._work / path
        path = f"/{path.strip('/')}"
        if (volume := _above(path, self.volumes)) is not None:
            return self.volumes[volume] / path[len(volume) :].strip("/")
        return self.root / self.inside(path).strip("/")

    def inside(self, path: str) -> str:
        """Where an absolute path lies in the view, no link on the way to it."""
        above = next((known for known in self.shown if path == known or path.startswith(f"{known}/")), None)
        return path if above is None else self.shown[above] + path[len(above) :]

    def seen(self, path: str) -> str:
        """The path that the program finds it at."""
        return f"/{path.strip('/')}" if self.shows(path) else str(self.place(path))

    def shows(self, path: str) -> bool:
        """Whether the program finds it as it is declared."""
        return path.startswith("/") and _above(f"/{path.strip('/')}", self.shown) is not None

    def mount(self, path: str, folder: Path) -> None:
        """Have a folder at a declared path: mounted in the view, or by a link where there is none."""
        place = self.place(path)
        if self.shows(path):
            place.mkdir(parents=True, exist_ok=True)
            self.volumes[f"/{path.strip('/')}"] = folder
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(folder, target_is_directory=True)

    def found(self, path: str) -> Path:
        """Where a path of the view lies outside of it, all links followed as the program follows them."""
        current, parts, links = "/", path.strip("/").split("/"), 0
        while parts:
            name, *parts = parts
            step = str(Path(current, name)) if name != ".." else str(Path(current).parent)
            outside = self._outside(step)
            if outside.is_symlink() and links < _MOST_LINKS:
                links += 1
                target = str(outside.readlink())
                current = "/" if target.startswith("/") else current
                parts = [part for part in target.split("/") if part not in ("", ".")] + parts
            else:
                current = step
        return self._outside(current)

    def _outside(self, path: str) -> Path:
        volumes = {self.inside(known): folder for known, folder in self.volumes.items()}
        if (volume := _above(path, volumes)) is not None:
            return volumes[volume] / path[len(volume) :].strip("/")
        own = self.root / path.strip("/")
        return own if _above(path, self.shown.values()) or os.path.lexists(own) else Path(path)

    def lead_outside(self, folder: Path) -> None:
        """Have the links below a folder, made by a program in its view, lead to the same files outside."""
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                link = Path(place, name)
                if link.is_symlink() and (target := link.readlink()).is_absolute():
                    link.unlink()
                    link.symlink_to(self.found(str(target)))

    def why_moved(self, path: str) -> str:
        """The reason that a program does not find a path as it is declared; empty if it does."""
        above = _above(f"/{path.strip('/')}", self._why)
        return "" if above is None else self._why[above]

    def rewrite(self, literal: str, after_value: bool, before_value: bool) -> str:
        """`literal` with every declared path moved; the flags: a value touches its beginning, its end."""
        done: list[str] = []
        position = 0
        while position < len(literal):
            path = self._at(literal, position, after_value, before_value)
            if path is None:
                done.append(literal[position])
                position += 1
            else:
                done.append(str(self.place(path)))
                position += len(path)
        return "".join(done)

    def _at(self, literal: str, start: int, after_value: bool, before_value: bool) -> str | None:
        if literal[start] != "/":
            return None
        if start == 0 and after_value:
            return None
        if start > 0 and (_in_name(literal[start - 1]) or literal[start - 1] == "/"):
            return None
        for path in self._declared:
            if literal.startswith(path, start) and _ends(literal, start + len(path), before_value):
                return path
        return None


def _above(path: str, known: Iterable[str]) -> str | None:
    """The nearest of these that the path is, or is below of."""
    return max((k for k in known if path == k or path.startswith(f"{k}/")), key=len, default=None)


def _in_name(character: str) -> bool:
    return character.isalnum() or character in _NAME_CHARACTERS


def _ends(literal: str, end: int, before_value: bool) -> bool:
    if end == len(literal):
        return not before_value
    if literal[end] == ".":  # the full stop of a sentence ends a path, the dot of a suffix does not
        return end + 1 == len(literal) or not _in_name(literal[end + 1])
    return not _in_name(literal[end])


def refusal(environment: Mapping[str, str]) -> str:
    """Why programs can have no view of their own here; empty if they can."""
    if environment.get(VIEW_SWITCH) == "0":
        return f"{VIEW_SWITCH}=0 switches its own view of the file system off"
    return _kernels_refusal()


@cache
def _kernels_refusal() -> str:
    """The reason that the kernel gives when a process tries it; empty if it may."""
    if sys.platform != "linux":
        return "only Linux gives a program its own view of the file system"
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        plan = Path(folder) / "plan"
        root = Path(folder) / "root"
        root.mkdir()
        plan.write_bytes(_joined([root, "/", "tmpfs", "", root]))
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


@cache
def _resolved(path: str) -> str:
    return os.path.realpath(path)


def hidden(path: str, needed: Iterable[str], roomy: bool = False) -> str:
    """Why a declared path cannot be shown; empty if it can.

    `needed`: what programs need on this machine; in a `roomy` folder, the step's alone, that can be mounted.
    """
    where = canonical(path)
    if os.path.normpath(path) != path or where.startswith(_KERNELS):
        return "that is no place for files of a step"
    for place in (*_MACHINES, *(name for known in needed for name in (known, _resolved(known)))):
        mounted = roomy and place not in _MACHINES and place == _resolved(place)
        if place == where or (place.startswith(f"{where}/") and not mounted):
            return f"there it would hide {place}, which programs need here"
    for folder in Path(where).parents[:-1]:
        if str(folder) in TEMPORARY:
            continue
        try:
            if len(list(folder.iterdir())) > _CROWDED:
                return f"{folder} has more than {_CROWDED} entries"
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{folder} cannot be read: {error.strerror}"
    return ""


class Shown:
    """A program's view.

    Args:
        root: the folder that has the step's files, each where it is declared.
        paths: the declared paths, canonical.
        volumes: folders that are mounted, and where.
        text: all that the program is told; entries of temporary folders are shown where it names them.
        needed: places of this machine that it sees also where a declared folder would hide them.
    """

    def __init__(
        self,
        root: Path,
        paths: Iterable[str],
        volumes: Iterable[tuple[Path, str]],
        text: str,
        needed: Iterable[str],
    ) -> None:
        self._root = Path(os.path.realpath(root))
        self._paths = tuple(paths)
        self._volumes = dict(sorted(((path, folder) for folder, path in volumes), key=lambda v: len(v[0])))
        self._needed = sorted({_resolved(path) for path in needed})
        self._text = "\n".join([text, str(root), str(self._root), *self._needed])
        self._orders: list[str | Path] = []
        self._made: list[Path] = []
        self._own: set[str] = set()

    def lay(self, plan: Path, cwd: str, empty: Path) -> None:
        """Make the places that things are mounted at, and write down for `guard.py` what is to be done.

        At `empty`, a folder that the program does without, the view is put together. Raises OSError.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        tree = _tree(self._paths)
        for name, inside in tree.items():
            if not inside and Path("/", name).is_dir():  # the image has it, as this machine has
                self._in_root(f"/{name}").mkdir(exist_ok=True)
        made_by_program = [p for p in self._paths if p not in self._volumes and not self._has(p)]
        self._own = {str(Path(path).parent) for path in made_by_program}
        if not Path(TEMPORARY[0]).is_symlink() and tree.setdefault(TEMPORARY[0].strip("/"), {"": {}}):
            self._own.add(TEMPORARY[0])
        on_disk = "/" in self._own
        top = self._root if on_disk else empty
        self._orders = ["bind", top, top] if on_disk else ["tmpfs", "", top]
        self._fill("/", tree, str(top), on_disk)
        for path, folder in self._volumes.items():
            self._orders += ["bind", folder, f"{top}{path}"]
        self._keep_needed(top)
        plan.write_bytes(_joined([top, cwd, *self._orders]))

    def _keep_needed(self, top: Path) -> None:
        """Mount what is needed in the declared folders that hide it."""
        kept = ""
        for place in self._needed:
            above = max((path for path in self._paths if place.startswith(f"{path}/")), key=len, default=None)
            if above is None or (kept and f"{place}/".startswith(kept)) or not Path(place).exists():
                continue
            kept = f"{place}/"
            folder, parts = self._outside(above), Path(place).relative_to(above)
            for part in [*parts.parents][-2::-1]:
                self._make(folder / part, Path.mkdir)
            self._make(folder / parts, Path.mkdir if Path(place).is_dir() else _touch)
            # of what holds the root only itself: all that is mounted for the view is below of that
            kind = "only" if self._root.is_relative_to(place) else "bind"
            self._orders += [kind, place, f"{top}{place}"]

    def clear(self) -> None:
        """Remove the places again; the program's own files stay."""
        for place in reversed(self._made):
            with suppress(OSError):  # a folder of this machine's that the program has put files into
                if place.is_dir() and not place.is_symlink():
                    place.rmdir()
                else:
                    place.unlink()
        self._made.clear()

    def _in_root(self, path: str) -> Path:
        return Path(f"{self._root}{path}")

    def _outside(self, path: str) -> Path:
        within = (known for known in self._volumes if path == known or path.startswith(f"{known}/"))
        volume = max(within, key=len, default=None)
        return self._in_root(path) if volume is None else self._volumes[volume] / path[len(volume) + 1 :]

    def _has(self, path: str) -> bool:
        return os.path.lexists(self._in_root(path))

    def _fill(self, folder: str, own: _Tree, target: str, on_disk: bool) -> None:
        """Fill `target` with a folder of this machine, in which the step has some entries of its own.

        `on_disk`: it is mounted from the step's root, and places in it are made there; else it is in memory.
        """
        with os.scandir(folder) as entries:  # first what holds the root, while nothing is mounted in it
            found = sorted(entries, key=lambda entry: not f"{self._root}/".startswith(f"{entry.path}/"))
        below = dict(own)
        for entry in found:
            here = f"{target.rstrip('/')}/{entry.name}"
            inside = own.get(entry.name)
            if inside is None:
                if folder not in TEMPORARY or folder not in self._own or entry.path in self._text:
                    self._show(entry, here, on_disk)
            elif inside and entry.is_dir(follow_symlinks=False):
                self._partly_own(entry.path, below.pop(entry.name), here, on_disk)
        for name, inside in below.items():
            if name and not on_disk:
                self._put(str(Path(folder, name)), inside, f"{target.rstrip('/')}/{name}")

    def _partly_own(self, path: str, own: _Tree, here: str, on_disk: bool) -> None:
        own_folder = on_disk or path in self._own
        if own_folder:
            self._in_root(path).mkdir(parents=True, exist_ok=True)
        if not on_disk:
            self._orders += ["folder", self._in_root(path) if own_folder else "", here]
        self._fill(path, own, here, own_folder)

    def _put(self, path: str, inside: _Tree, here: str) -> None:
        """Show what is the step's alone in a folder that is in memory."""
        source = self._in_root(path)
        if path in self._volumes:
            self._orders += ["folder", "", here]
        elif inside or source.is_dir():
            source.mkdir(parents=True, exist_ok=True)
            self._orders += ["folder", source, here]
        else:
            self._orders += ["file", source, here]

    def _show(self, entry: os.DirEntry[str], here: str, on_disk: bool) -> None:
        if entry.is_symlink():
            with suppress(FileNotFoundError):
                link = Path(entry.path).readlink()
                if on_disk:
                    self._make(self._in_root(entry.path), lambda place: place.symlink_to(link))
                else:
                    self._orders += ["link", link, here]
            return
        kind, make = ("folder", Path.mkdir) if entry.is_dir() else ("file", _touch)
        if on_disk:
            self._make(self._in_root(entry.path), make)
            kind = "bind"
        self._orders += [kind, entry.path, here]

    def _make(self, place: Path, make: Callable[[Path], None]) -> None:
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
