"""Files and folders between steps: kept in the run's folder, copied to whoever takes them.

A consumer gets a copy, never a link, so that it cannot change what another step reads. Taken away, not
copied, is only what a step made in its own folder and nobody else knows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from argosy.local.errors import NodeError
from argosy.local.model import InputArtifact
from argosy.step.files import copy_to, write_text


def from_text(data: str, run_dir: Path) -> Path:
    """The file that holds literal content (`raw.data`) in this run."""
    path = run_dir / "artifacts" / ".raw" / hashlib.sha256(data.encode()).hexdigest()[:24]
    write_text(path, data)
    return path


def put(source: Path, target: Path, artifact: InputArtifact, own: Path) -> None:
    """Copy an artifact to where a step expects it, in its folder `own`. Raises NodeError naming it."""
    if not target.resolve().is_relative_to(own.resolve()):
        raise NodeError(f"input artifact '{artifact.name}': {artifact.path} is outside of the step's folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
        if artifact.mode is not None:
            target.chmod(artifact.mode)
    except OSError as error:
        raise NodeError(
            f"input artifact '{artifact.name}' cannot be put at {artifact.path}: {error}"
        ) from error


def keep(produced: Path, target: Path, name: str, own: Path) -> Path:
    """Have an output of a step, whose folder is `own`, at `target`; returns where it is now.

    It is moved if it is the step's own; what is outside, or known by another name, too, stays where it is.

    Raises:
        NodeError: it cannot be read, or holds what is neither file nor folder.
    """
    if target.exists():
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if produced.resolve().is_relative_to(own.resolve()) and not any(map(_is_known_elsewhere, _all(produced))):
        with suppress(OSError):  # a mounted folder, say, cannot be moved
            return produced.rename(target)
    try:
        copy_to(produced, target)
    except OSError as error:
        reason = f"{error.strerror or error} ('{error.filename or produced}')"
        raise NodeError(f"output artifact '{name}' cannot be kept: {reason}") from error
    return target


def _all(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):  # a link to a folder is among the folders
            yield from (Path(folder, name) for name in (*folders, *files))


def _is_known_elsewhere(path: Path) -> bool:
    """Whether it is a link, or a file that has another name as well."""
    return path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1)
