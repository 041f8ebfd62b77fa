"""`argosy.lock`: which versions of which packages images have, with hashes; committed beside the code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from argosy.code.build.errors import BuildError
from argosy.code.build.packages import Target, resolve
from argosy.manifest.emit import to_yaml

_HEADER = "# What `argosy build` installs into images. Commit it; `argosy build --upgrade` makes it anew.\n"


@dataclass
class Lock:
    """The lock of a project; `frozen` refuses what is not in it, `upgrade` forgets what it is asked for."""

    file: Path
    frozen: bool = False
    upgrade: bool = False

    def packages(self, packages: Sequence[str], target: Target) -> list[str]:
        """The locked form of `packages`; what is new is resolved and written down.

        Raises:
            BuildError: they cannot be resolved, or the lock is frozen and lacks them.
        """
        if not packages:
            return []
        names = sorted(packages)
        key = {
            "packages": names,
            "python": target.python,
            "platform": f"linux/{target.architecture}",
            "wheels": target.wheels_only,
        }
        entries = self._read()
        known = next((e for e in entries if key.items() <= e.items()), None)
        if known and not self.upgrade:
            return list(known["resolved"])
        if self.frozen:
            raise BuildError(
                f"{self.file} lacks {', '.join(names)} for {key['platform']}: run 'argosy build'"
            )
        resolved = resolve(names, target)
        others = [e for e in entries if e is not known]
        self._write([*others, {**key, "resolved": resolved}])
        return resolved

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, yaml.YAMLError):
            content = 0
        entries = content if isinstance(content, list) else [None]
        if content is not None and not all(isinstance(e, dict) and "resolved" in e for e in entries):
            raise BuildError(
                f"'{self.file}' is not what argosy wrote; restore it, or remove it to make it anew"
            )
        return content or []

    def _write(self, entries: list[dict[str, Any]]) -> None:
        entries.sort(key=lambda e: (e["packages"], e["python"], e["platform"], e["wheels"]))
        write_beside(self.file, _HEADER + to_yaml(entries))  # type: ignore[arg-type]


def write_beside(file: Path, text: str) -> None:
    """Write a file in one move: whoever reads it sees all of it, the old one or the new one."""
    beside = file.with_name(file.name + ".part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        raise BuildError(f"cannot write '{file}': {error.strerror}") from None
