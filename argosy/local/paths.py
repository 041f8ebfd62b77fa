"""Where a container's absolute paths lie on this machine.

Steps run side by side on one file system, so every path that a template declares (paths of input and output
artifacts and of output parameters, mount paths of emptyDir volumes except /dev/shm, the working directory)
is moved below the step's own folder: `/tmp/outputs/result` becomes `<step>/root/tmp/outputs/result`. The
rule, exactly:

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

from collections.abc import Iterable
from pathlib import Path

_NAME_CHARACTERS = frozenset("_-.~+@")


class PathMap:
    """Declared absolute paths, and the folder they are moved below."""

    def __init__(self, declared: Iterable[str], root: Path, work: Path) -> None:
        self._root = root
        self._work = work
        cleaned = {path.rstrip("/") for path in declared if path.startswith("/")}
        self._declared = sorted(cleaned - {""}, key=len, reverse=True)

    def place(self, path: str) -> Path:
        """Where a declared path lies; a relative one is below the working directory."""
        return self._root / path.strip("/") if path.startswith("/") else self._work / path

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


def _ends(literal: str, end: int, before_value: bool) -> bool:
    if end == len(literal):
        return not before_value
    if literal[end] == ".":  # the full stop of a sentence ends a path, the dot of a suffix does not
        return end + 1 == len(literal) or not _in_name(literal[end + 1])
    return not _in_name(literal[end])


def _in_name(character: str) -> bool:
    return character.isalnum() or character in _NAME_CHARACTERS
