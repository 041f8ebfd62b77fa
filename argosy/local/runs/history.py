"""All runs of a state folder: found by a short name, listed, pruned."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from argosy.errors import UsageError
from argosy.local.runs.record import Record, is_locked, pick, size_of

RUNS = "runs"
LAST = "last"
_AGE = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class History:
    """The runs of one state folder."""

    state_dir: Path

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return self.state_dir / RUNS

    def names(self) -> list[str]:
        """All runs, by name."""
        try:
            with os.scandir(self.folder) as entries:
                return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UsageError(f"the runs in {self.folder} cannot be read: {error.strerror}") from None

    def find(self, word: str) -> Record:
        """The run of a name, of the beginning or end of one, or the `last`.

        Raises:
            UsageError: there is none, or more than one.
        """
        names = self.names()
        if not names:
            raise UsageError(f"there is no run in {self.folder} yet; `argosy run` makes one")
        if word == LAST and word not in names:
            return max(self, key=_began)
        return Record.read(self.folder / pick(word, names, "run"))

    def __iter__(self) -> Iterator[Record]:
        return (Record.read(self.folder / name) for name in self.names())

    def newest_first(self) -> list[Record]:
        """All runs, the last one first."""
        return sorted(self, key=_began, reverse=True)

    def prune(self, records: Sequence[Record]) -> int:
        """Remove runs; returns how many bytes that freed.

        Raises:
            UsageError: a run is still going on, or cannot be removed; those before it are gone.
        """
        from argosy.local.state import lock

        freed = 0
        for record in records:
            size = size_of(record.folder)
            aside = record.folder.with_name(f".{record.run}.removed")
            try:
                held = lock(record.folder)
                try:  # out of sight first: no one reads half a run
                    record.folder.rename(aside)
                finally:
                    os.close(held)
            except OSError as error:
                raise UsageError(f"{record.folder} cannot be removed: {error.strerror}") from None
            shutil.rmtree(aside, ignore_errors=True)
            (self.state_dir / "requests" / f"{record.run}.json").unlink(missing_ok=True)
            freed += size - size_of(aside)
        return freed


def chosen(
    records: Sequence[Record], *, keep: int | None, older: timedelta | None, failed: bool
) -> list[Record]:
    """Of the records, newest first, those that pruning may remove: all conditions hold, and none runs."""
    before = datetime.now(timezone.utc) - older if older is not None else None
    found = []
    for number, record in enumerate(records):
        if keep is not None and number < keep:
            continue
        if before is not None and datetime.fromtimestamp(_began(record)[0], timezone.utc) > before:
            continue
        if failed and record.phase == "Succeeded":
            continue
        if not is_locked(record.folder):
            found.append(record)
    return found


def age(text: str) -> timedelta:
    """`30d`, `12h`, `90m`, `2w`. Raises UsageError."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no age: write a number and s, m, h, d or w, such as 30d")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise UsageError(f"{text!r} is too long an age") from None


def _began(record: Record) -> tuple[float, str]:
    """When it began, for sorting; of a run that never did, when its folder was last touched."""
    try:
        moment = datetime.fromisoformat(record.started_at.replace("Z", "+00:00")).timestamp()
    except ValueError:
        moment = record.folder.stat().st_mtime if record.folder.exists() else 0.0
    return moment, record.run
