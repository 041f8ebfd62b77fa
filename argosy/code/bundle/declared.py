"""The packages that a step declares, alone: a folder of links to what is installed here of them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from argosy.errors import UsageError


def folder_of(packages: Sequence[str], below: Path) -> Path | None:
    """A folder, made below another, where these packages and all that they need are; None for no packages.

    Raises:
        UsageError: one that they need is not installed, or does not say which files it has.
    """
    links = {file.name: file for text in packages for file in _files(Requirement(text), set())}
    if not links:
        return None
    named = json.dumps({name: str(file) for name, file in sorted(links.items())})
    folder = below / f"packages-{hashlib.sha256(named.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in links.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(file)
    return folder


def _files(wanted: Requirement, seen: set[tuple[str, frozenset[str]]]) -> Iterator[Path]:
    """The files of a package, and of those that it needs, in their folder of installed packages."""
    key = wanted.name.lower(), frozenset(wanted.extras)
    if key in seen:
        return
    seen.add(key)
    try:
        found = metadata.distribution(wanted.name)
    except metadata.PackageNotFoundError:
        raise UsageError(f"package '{wanted.name}' is needed, and not installed here: install it") from None
    if found.files is None:
        raise UsageError(f"package '{wanted.name}' does not say which files it has: install it with pip")
    tops = {file.parts[0] for file in found.files} - {"..", "__pycache__"}
    yield from (Path(str(found.locate_file(top))) for top in sorted(tops))
    for text in found.requires or ():
        needed = Requirement(text)
        extras = wanted.extras or {""}
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
            yield from _files(needed, seen)
