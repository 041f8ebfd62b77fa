"""Where a container's absolute paths lie on this machine.

Steps run side by side on one file system, so every path that a template declares (paths of input and output
artifacts and of output parameters, mount paths of volumes except /dev/shm, the working directory) lies below
the step's own folder: `/tmp/outputs/result` is `<step>/root/tmp/outputs/result`. Where a program has a view
of the file system of its own (`namespaces`), it finds the file under its declared path, and nothing is
rewritten. Elsewhere the path is moved. The rule of that, exactly:

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
from collections.abc import Iterable, Mapping
from pathlib import Path

from argosy.local.namespaces import canonical

_MOST_LINKS = 40
_NAME_CHARACTERS = frozenset("_-.~+@")


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


def _ends(literal: str, end: int, before_value: bool) -> bool:
    if end == len(literal):
        return not before_value
    if literal[end] == ".":  # the full stop of a sentence ends a path, the dot of a suffix does not
        return end + 1 == len(literal) or not _in_name(literal[end + 1])
    return not _in_name(literal[end])


def _in_name(character: str) -> bool:
    return character.isalnum() or character in _NAME_CHARACTERS
