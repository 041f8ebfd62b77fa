"""The pip settings of this machine, as an image build needs them: a pip.conf and the places that it names."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What tells where packages come from; all else is the business of the Dockerfile.
KEPT = ("cert", "extra-index-url", "find-links", "index-url", "timeout", "trusted-host")
TARGET = "/etc/pip.conf"


def parse(listing: str) -> dict[str, str]:
    """The settings that `pip config list` printed, `section.key='value'` a line; the environment's win."""
    from_files: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if key.removeprefix("default-") in KEPT:
            chosen = from_environment if section == ":env:" else from_files
            chosen[key.removeprefix("default-")] = ast.literal_eval(value)
    return from_files | from_environment


def local_path(place: str) -> Path | None:
    """The file or folder of this machine that a word of a setting names, as path or file URL; else None."""
    parts = urlsplit(place)
    path = Path(unquote(parts.path) if parts.scheme == "file" else place)
    return path if parts.scheme in ("", "file") and path.is_absolute() and path.exists() else None


@dataclass(frozen=True)
class PipSettings:
    """Where pip finds packages on this machine."""

    values: dict[str, str]

    @classmethod
    def of_this_machine(cls) -> PipSettings:
        """Ask the pip of the running Python."""
        command = [sys.executable, "-m", "pip", "config", "list"]
        return cls(parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    def pip_conf(self) -> str:
        """The text of a pip.conf with the same settings."""
        lines = [f"{key} = {' '.join(value.split())}" for key, value in sorted(self.values.items())]
        return "\n".join(["[global]", *lines]) + "\n"

    def mounts(self, folder: Path) -> list[tuple[Path, str]]:
        """(what to mount, where): a pip.conf written into `folder`, and each local place at its own path."""
        file = folder / "pip.conf"
        file.write_text(self.pip_conf())
        words = (word for value in self.values.values() for word in value.split())
        places = sorted({path for word in words if (path := local_path(word))})
        # A package of a file index is a link to a file beside it: the folder above has both.
        tops = {place.parent if place.name == "simple" else place for place in places}
        return [(file, TARGET), *((path, str(path)) for path in sorted(tops))]
