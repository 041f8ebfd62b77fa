"""Previews of logs and artifacts in a page: as much as it has room for, and how much it left out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.local.runs.record import size_of

_IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_KINDS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".html": "html", ".htm": "html"}
_TEXT = 20_000  # bytes of a text
_IMAGE = 400_000  # bytes of an image
_LISTED = 50  # files of a folder


@dataclass
class Previews:
    """Previews of one run's artifacts, until `left` bytes are used up."""

    left: int = 1_000_000

    def of(self, name: str, path: str, place: Path | None) -> dict[str, Any]:
        """An artifact: `name`, `path`, `size`, and `kind` with `content` where there is a preview.

        `place` is None where it is not on this machine.
        """
        if place is None:
            return {"name": name, "path": path, "kind": "elsewhere"}
        known: dict[str, Any] = {"name": name, "path": path, "size": size_of(place)}
        try:
            if not place.exists():
                return {**known, "kind": "missing"}
            if place.is_dir():
                return {**known, "kind": "folder", "content": self._listing(place)}
            return {**known, **self._file(place, known["size"])}
        except OSError as error:
            return {**known, "kind": "unreadable", "content": error.strerror}

    def _listing(self, place: Path) -> str:
        files = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
        more = [f"and {len(files) - _LISTED} more"] if len(files) > _LISTED else []
        return self._taken("\n".join(files[:_LISTED] + more))

    def _file(self, place: Path, size: int) -> dict[str, Any]:
        suffix = place.suffix.lower()
        if suffix in _IMAGES:
            if size > min(_IMAGE, self.left):
                return {"kind": "large"}
            content = base64.b64encode(place.read_bytes()).decode()
            return {"kind": "image", "content": f"data:{_IMAGES[suffix]};base64,{self._taken(content)}"}
        limit = min(_TEXT, self.left)
        if limit <= 0:
            return {"kind": "large"}
        with place.open("rb") as file:
            data = file.read(limit)
        if b"\0" in data:
            return {"kind": "binary"}
        text = self._taken(data.decode("utf-8", errors="replace"))
        return {"kind": _KINDS.get(suffix, "text"), "content": text, "leftOut": max(0, size - len(data))}

    def _taken(self, content: str) -> str:
        self.left -= len(content)
        return content


def log_end(path: Path, limit: int) -> tuple[str, int]:
    """The last lines of a log, in at most `limit` bytes, and how many bytes are left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except OSError:
        return "", 0
    if size > limit and b"\n" in data:
        data = data[data.index(b"\n") + 1 :]
    lines = data.decode("utf-8", errors="replace").split("\n")
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return text, size - len(data)
