"""`argosy.lock`: which versions of which packages images have, with hashes; committed beside the code."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from argosy.code.images import BuildError
from argosy.code.images.packages import Target, resolve
from argosy.manifest.emit import to_yaml
from argosy.step.files import write_text

_HEADER = "# The packages of steps in images and pods. Commit it; `argosy build --upgrade` makes it anew.\n"


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
        known = _entry(self._read(), key)
        if known and not self.upgrade:
            return list(known["resolved"])
        if self.frozen:
            raise BuildError(
                f"{self.file} lacks {', '.join(names)} for {key['platform']} with Python {target.python}: "
                "run 'argosy build' without --locked, or 'argosy compile' without --check, and commit it"
            )
        return self._noted(key, resolve(names, target), known)

    def _noted(self, key: dict[str, Any], resolved: list[str], before: dict[str, Any] | None) -> list[str]:
        """Write down what was resolved; what another build resolved of the same meanwhile counts instead."""
        with alone_in(self.file.parent):
            entries = self._read()
            known = _entry(entries, key)
            if known and known != before:
                return list(known["resolved"])
            self._write([*(e for e in entries if e is not known), {**key, "resolved": resolved}])
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
        write_whole(self.file, _HEADER + to_yaml(entries))  # type: ignore[arg-type]


def _entry(entries: Sequence[dict[str, Any]], key: dict[str, Any]) -> dict[str, Any] | None:
    return next((e for e in entries if key.items() <= e.items()), None)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside this block no other command changes what argosy writes into a folder; one that does is awaited.

    The folder itself is locked, so that no file of a lock stays behind; the kernel frees it with the process.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise BuildError(f"cannot write into '{folder}': {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_whole(file: Path, text: str) -> None:
    """Write a file as `argosy.step.files.published` does. Raises BuildError."""
    try:
        write_text(file, text)
    except OSError as error:
        raise BuildError(f"cannot write '{file}': {error.strerror}") from None
