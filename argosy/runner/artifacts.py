"""Files and folders between steps: kept in the run's folder, copied to whoever takes them.

A consumer gets a copy, never a link, so that it cannot change what another step reads.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from argosy.runner.errors import NodeError
from argosy.runner.model import InputArtifact


def from_text(data: str, run_dir: Path) -> Path:
    """The file that holds literal content (`raw.data`) in this run."""
    path = run_dir / "artifacts" / ".raw" / hashlib.sha256(data.encode()).hexdigest()[:24]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(data, "utf-8")
    return beside.replace(path)


def put(source: Path, target: Path, artifact: InputArtifact) -> None:
    """Copy an artifact to where a step expects it. Raises NodeError naming it."""
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


def keep(produced: Path, folder: Path, name: str) -> Path:
    """Take an output out of a step's folder into `folder`; returns where it is now.

    A link is followed: what is kept is what it points at.
    """
    target = folder / name / produced.name
    if target.exists():
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    if not produced.is_symlink():
        shutil.move(produced, target)
    elif produced.is_dir():
        shutil.copytree(produced.resolve(), target, symlinks=True)
    else:
        shutil.copy2(produced.resolve(), target)
    return target
