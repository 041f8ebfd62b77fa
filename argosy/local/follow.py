"""Follows the logs of running steps, line by line."""

from __future__ import annotations

from pathlib import Path

_CHUNK = 256 * 1024


class LogFollower:
    """Complete lines that were added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""

    def lines(self, *, last: bool = False) -> list[str]:
        """New lines; with `last`, also one that no newline ends. A file that does not exist yet has none."""
        found: list[str] = []
        while chunk := self._read():
            *complete, self._rest = (self._rest + chunk).split(b"\n")
            found += [_text(line) for line in complete]
        if last and self._rest:
            found.append(_text(self._rest))
            self._rest = b""
        return found

    @property
    def unfinished(self) -> str:
        """The last line as it stands, where no newline has ended it: a bar that is drawn over and over."""
        return _text(self._rest) if self._rest else ""

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                chunk = file.read(_CHUNK)
        except OSError:
            return b""
        self._position += len(chunk)
        return chunk


def _text(line: bytes) -> str:
    """A line as a terminal would leave it: of a progress bar, its last state; no control characters."""
    text = line.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2]
    return "".join(c for c in text.expandtabs() if c.isprintable())
