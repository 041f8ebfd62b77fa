"""Names of folders that can stand unquoted in a script, where paths of the manifest are replaced by them."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 100


def folder_name(node: str) -> str:
    """A node's name as the name of a folder: readable, and different for different nodes."""
    safe = "".join(c if c in _SAFE else "." for c in node).strip(".")
    if safe == node and len(node) <= _LONGEST:
        return node
    return f"{safe[:_LONGEST]}-{zlib.crc32(node.encode()):08x}"


@contextmanager
def plain_path(run_dir: Path) -> Iterator[Path]:
    """`run_dir` by a path without spaces and the like: its own, or a link in the temporary folder."""
    if all(_SAFE.issuperset(part) for part in run_dir.parts[1:]):
        yield run_dir
        return
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        link = Path(folder) / "run"
        link.symlink_to(run_dir, target_is_directory=True)
        yield link
