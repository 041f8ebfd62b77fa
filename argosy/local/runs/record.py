"""Runs as their folders tell them, however they were left: one, and all of a state folder."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from argosy.errors import UsageError
from argosy.local.node import (
    Attempt,
    Node,
    Phase,
    Values,
    as_text,
    failed,
    folder_name,
    in_order,
    now,
    parse_time,
)
from argosy.local.state import STATE_FILE, lock, read_state
from argosy.manifest.parts import templates_in

if TYPE_CHECKING:
    from argosy.local.job import WorkflowResult

REQUEST_FILE = "request.json"

State = Literal["running", "finished", "interrupted", "unstarted", "unreadable"]
"""`interrupted`: its runner died; `unstarted`: the folder was made, and nothing begun in it."""

RUNS = "runs"
LAST = "last"
ORDER_FILE = "runs.order"
"""The names of the runs of a state folder as they were asked for, a line each: the clock may be set back."""

_AGE = re.compile(r"(\d+)([smhdw])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        folder: the run's folder.
        state: how its folder was left.
        head: `run.json` without its nodes; empty where there is none.
        nodes: each followed by what is inside of it.
        problem: why the folder cannot be read, in one line.
    """

    folder: Path
    state: State
    head: Mapping[str, Any] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    problem: str = ""

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The run of a folder, whatever is in it."""
        if not (folder / STATE_FILE).exists():
            state: State = "running" if is_locked(folder) else "unstarted"
            return cls(folder, state, problem=f"{folder} holds no {STATE_FILE}: nothing was begun")
        try:
            document = read_state(folder)
            nodes = in_order(Node.from_dict(raw) for raw in document.pop("nodes"))
            state = "finished" if Phase(document["phase"]).is_final else "running"
        except UsageError as error:
            return cls(folder, "unreadable", problem=str(error))
        if state == "running" and not is_locked(folder):
            state = "interrupted"
            last = _last_sign(folder, document, nodes)
            document["savedAt"] = last
            nodes = tuple(replace(node, retry_at=None, seen_at=last) for node in nodes)
        return cls(folder, state, document, nodes)

    @classmethod
    def of(cls, result: WorkflowResult) -> Record:
        """The run that has just ended so."""
        head = {
            "name": result.name,
            "uid": result.uid,
            "startedAt": result.started_at,
            "finishedAt": result.finished_at,
            "savedAt": result.finished_at,
            "phase": result.phase.value,
            "message": result.message,
            "parameters": dict(result.parameters),
            "outputs": result.outputs.to_dict(),
        }
        return cls(result.run_dir, "finished", head, result.nodes)

    def whole(self) -> Record:
        """Itself. Raises UsageError, with the reason, if there is nothing to show."""
        if self.problem:
            raise UsageError(self.problem)
        return self

    @property
    def is_untouched(self) -> bool:
        """Whether no runner has been at work in the folder, though it may be made ready for one."""
        return self.state == "unstarted" or self.head.get("phase") == Phase.PENDING.value

    @property
    def is_done(self) -> bool:
        """Whether it Succeeded with all its steps, so that nothing is left to go on with."""
        return self.phase == Phase.SUCCEEDED.value and not any(n.phase.is_bad for n in self.nodes)

    @property
    def run(self) -> str:
        """The folder's name, by which commands know the run."""
        return self.folder.name

    @property
    def state_dir(self) -> Path | None:
        """The state folder that its folder lies in; None of one that was moved elsewhere."""
        parent = self.folder.absolute().parent
        return self.folder.parents[1] if parent.name == RUNS else None

    @property
    def phase(self) -> str:
        """Argo's phase, or the word for a run that has none."""
        if self.state in ("finished", "running"):
            return str(self.head.get("phase", Phase.RUNNING.value))
        return self.state.capitalize()

    @property
    def pipeline(self) -> str:
        """The name of what was run."""
        return str(self.request.get("pipeline") or self.run.rpartition("-")[0] or self.run)

    @property
    def started_at(self) -> str:
        """When it began; the folder's own time, where nothing did."""
        return str(self.head.get("startedAt") or "")

    @property
    def seconds(self) -> float | None:
        """How long it took, has been taking, or went on for all that is known; None where nothing is."""
        if self.started_at and self.state == "running":  # what was written last may be long ago
            return max(0.0, (parse_time(now()) - parse_time(self.started_at)).total_seconds())
        end = self.head.get("finishedAt") or (self.head.get("savedAt") if self.head else None)
        last = max((n.finished_at or n.started_at or "" for n in self.nodes), default="")
        if not self.started_at or not (end or last):
            return None
        ended = max(str(end or ""), last)
        return max(0.0, (parse_time(ended) - parse_time(self.started_at)).total_seconds())

    @property
    def failed(self) -> tuple[Node, ...]:
        """The programs that Failed, or nodes with an Error of their own."""
        return failed(self.nodes)

    @property
    def outputs(self) -> Values:
        """The workflow's outputs."""
        return Values.from_dict(self.head["outputs"]) if "outputs" in self.head else Values()

    @cached_property
    def request(self) -> dict[str, Any]:
        """The request; empty where nothing tells."""
        try:
            content = json.loads((self.folder / REQUEST_FILE).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def alone(self) -> tuple[str, str] | None:
        """The run and its step that `argosy rerun --step` did again here, and nothing else."""
        found = self.request.get("alone")
        words = (found.get("run"), found.get("step")) if isinstance(found, dict) else ()
        run, step = words if all(isinstance(word, str) for word in words) and words else (None, None)
        return None if run is None or step is None else (run, step)

    @property
    def again(self) -> str:
        """The command that goes on with it, or does its one step again."""
        if self.alone is not None:
            return shlex.join(["argosy", "rerun", self.alone[0], "--step", self.alone[1]])
        return shlex.join(["argosy", "run", "--resume", self.run])

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it was run; empty where it is lost, or cut off, though it may be YAML still."""
        try:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            text = (self.folder / "workflow.yaml").read_bytes()
            content = yaml.load(text, Loader=loader)
        except (OSError, yaml.YAMLError):
            return {}
        return content if isinstance(content, dict) and text.endswith(b"\n") else {}

    @cached_property
    def templates(self) -> dict[str, dict[str, Any]]:
        """The manifest's templates by name."""
        return {str(t.get("name")): t for t in templates_in(self.manifest)}

    def node(self, name: str) -> Node:
        """The node of that name, or the only one whose name begins so. Raises UsageError."""
        names = [node.name for node in self.nodes]
        return self.nodes[names.index(pick(name, names, "step", f" in {self.run}"))]

    def log_of(self, attempt: Node | Attempt) -> Path | None:
        """The file that a node's last attempt, or one attempt, wrote its output to."""
        if isinstance(attempt, Attempt):
            path = self.folder / "steps" / folder_name(attempt.name) / "main.log"
        elif attempt.log:
            path = self.folder / attempt.log
        else:
            return None
        return path if path.is_file() else None

    def place_of(self, path: str) -> Path | None:
        """The file or folder of an artifact; None where it is not on this machine."""
        return self.folder / path

    def size(self) -> int:
        """Bytes on disk."""
        return size_of(self.folder)


def _last_sign(folder: Path, head: Mapping[str, Any], nodes: Iterable[Node]) -> str:
    """When a run whose runner died last wrote something: its state, or the log of a step that went on."""
    moments = [str(head.get("savedAt") or head["startedAt"])]
    files = [folder / str(head.get("journal") or STATE_FILE)]
    for node in nodes:
        moments += filter(None, (node.queued_at, node.started_at, node.finished_at))
        if node.log and node.started_at and not node.phase.is_final:
            files.append(folder / node.log)
    for file in files:
        with suppress(OSError):
            moments.append(as_text(datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)))
    return max(moments, key=parse_time)


def is_locked(folder: Path) -> bool:
    """Whether a runner is at work in a run's folder."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def runner_of(folder: Path) -> int | None:
    """The process that is at work in a run's folder, on this machine; None if nobody knows."""
    try:
        return int((folder / ".lock").read_text("ascii")) if is_locked(folder) else None
    except (OSError, ValueError):
        return None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size if path.exists() else 0
    total, stack = 0, [str(path)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # removed meanwhile, or not ours to read
            continue
    return total


_FEW = 12
"""So many names stand in a message."""


def pick(word: str, names: list[str], noun: str, place: str = "") -> str:
    """The name that `word` is, or that alone begins with it or ends with it after a dash or a dot.

    Raises UsageError, with the nearest names, if there is none or more than one.
    """
    from argosy.text import did_you_mean, nearest

    if word in names:
        return word
    found = [n for n in names if word and n.startswith(word)]
    found = found or [n for n in names if word and n.endswith((f"-{word}", f".{word}"))]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        raise UsageError(f"'{word}' may be any {noun}{place}: {shown}")
    told = did_you_mean(word, names) if len(names) <= _FEW else nearest(word, names)
    raise UsageError(f"there is no {noun} '{word}'{place}{told}")


def names_workflow(word: str) -> bool:
    """Whether a word that stands for a run is NAMESPACE/WORKFLOW of a cluster, and no path."""
    return "/" in word and not is_path(word)


def is_path(word: str) -> bool:
    """Whether a word for a run is the path of its folder, and no NAMESPACE/WORKFLOW of a cluster."""
    plain = word.startswith(("/", "./", "../")) or word.endswith("/") or word.count("/") > 1
    return plain or word in (".", "..") or ("/" in word and holds_run(word))


def holds_run(folder: str) -> bool:
    """Whether a folder is that of a run."""
    try:
        return any(Path(folder, file).is_file() for file in (STATE_FILE, REQUEST_FILE))
    except OSError:  # no name of a file
        return False


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
        """The run of a name, of the beginning or end of one, of its folder's path, or the `last`.

        Raises:
            UsageError: there is none, or more than one.
        """
        if is_path(word):
            folder = Path(word).resolve()
            if holds_run(word) or (folder.is_dir() and folder.parent == self.folder.resolve()):
                return self._at(folder)
            if word.strip("/") in ("", ".", "..") or "/" in word.rstrip("/"):
                raise UsageError(f"'{word}' is no folder of a run")
            word = word.rstrip("/")
        names = self.names()
        if word not in (LAST, *names) and holds_run(word):
            return self._at(Path(word).resolve())
        if not names:
            raise UsageError(f"there is no run in {self.folder} yet; `argosy run` makes one")
        if word == LAST and word not in names:
            records = self.newest_first()
            return next((r for r in records if r.state != "unstarted"), records[0])
        return Record.read(self.folder / pick(word, names, "run"))

    def _at(self, folder: Path) -> Record:
        """The run of a folder, which may be that of another state folder."""
        own = folder.parent == self.folder.resolve()
        return Record.read(self.folder / folder.name if own else folder)

    def __iter__(self) -> Iterator[Record]:
        return (Record.read(self.folder / name) for name in self.names())

    def newest_first(self) -> list[Record]:
        """All runs, the last one first: as they were asked for, and those of before that was kept by time.

        The clock may have been set back: a run is no later than those that were asked for after it, and one
        of which only a time to come is known is before them all.
        """
        records, place = list(self), self._places()
        moments, latest = {record.run: _began(record)[0] for record in records}, time.time()
        for run in moments.keys() - place.keys():
            if moments[run] > latest:
                moments[run] = 0.0
        for run in sorted(moments.keys() & place.keys(), key=place.__getitem__, reverse=True):
            latest = moments[run] = min(moments[run], latest)
        return sorted(records, key=lambda r: (moments[r.run], place.get(r.run, -1), r.run), reverse=True)

    def _places(self) -> dict[str, int]:
        """The runs that are known to have been asked for one after the other, with their places."""
        try:
            lines = (self.state_dir / ORDER_FILE).read_text("utf-8", "replace").splitlines()
        except OSError:
            return {}
        return {name: number for number, name in enumerate(lines)}

    def begin(self, run: str) -> None:
        """Keep that a run was asked for after all others. Raises OSError."""
        with (self.state_dir / ORDER_FILE).open("a", encoding="utf-8") as file:
            file.write(f"\n{run}")  # behind what a full disk cut off

    def prune(self, records: Sequence[Record]) -> int:
        """Remove runs; returns how many bytes that freed.

        Raises:
            UsageError: a run is still going on, or cannot be removed; those before it are gone.
        """
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
        return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise UsageError(f"{text!r} is too long an age") from None


def _began(record: Record) -> tuple[float, str]:
    """When it began, for sorting; of a run that never did, when its folder was last touched."""
    try:
        moment = datetime.fromisoformat(record.started_at.replace("Z", "+00:00")).timestamp()
    except ValueError:
        moment = record.folder.stat().st_mtime if record.folder.exists() else 0.0
    return moment, record.run
