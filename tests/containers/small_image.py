"""Images in a second, of programs of this machine with their libraries: no registry or index is asked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

SMALL = "localhost/small:1"
"""A shell and a few programs; root is its user, it has no command."""

PROGRAMS = ("cat", "chmod", "echo", "env", "id", "ls", "mkdir", "rm", "sh", "sleep", "sort", "touch", "true")
_LIBRARY = re.compile(r"(/\S+) \(0x")
_LEFT_OUT = frozenset(
    {"__pycache__", "dist-packages", "idlelib", "lib2to3", "site-packages", "test", "tkinter"}
)


def put_small_image(engine: Callable[..., str], folder: Path) -> str:
    """Have SMALL in the store of an engine, called with its words; returns its name."""
    programs = {f"bin/{name}": Path(shutil.which(name) or name).resolve() for name in PROGRAMS}
    return _put(engine, folder, SMALL, programs, programs.values(), "PATH=/bin")


def put_python_image(engine: Callable[..., str], folder: Path, name: str) -> str:
    """Have an image with this Python, where it lies here, and a shell under a name; returns it."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    shell = Path(shutil.which("sh") or "sh").resolve()
    content = {"bin/sh": shell, str(python): python, str(library): library}
    content |= {str(python.with_name(link)): python for link in ("python", "python3")}
    path = f"PATH={python.parent}:/bin"
    return _put(engine, folder, name, content, [shell, python, *library.glob("lib-dynload/*.so")], path)


def _put(
    engine: Callable[..., str],
    folder: Path,
    name: str,
    content: dict[str, Path],
    linked: Iterable[Path],
    variable: str,
) -> str:
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for place, mode in (("tmp", 0o1777), ("etc", 0o755)):
            entry = tarfile.TarInfo(place)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for place, source in (content | _libraries(linked)).items():
            tar.add(source, place.lstrip("/"), filter=_wanted)
    engine("import", "--change", f"ENV {variable}", str(archive), name)
    archive.unlink()
    return name


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    return None if _LEFT_OUT.intersection(Path(entry.name).parts) else entry


def _libraries(linked: Iterable[Path]) -> dict[str, Path]:
    """The shared libraries of programs, by the paths at which they are looked for."""
    found: set[str] = set()
    for file in linked:
        listing = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=True)
        found |= set(_LIBRARY.findall(listing.stdout))
    return {name: Path(name).resolve() for name in sorted(found)}
