"""The lines that a run's steps wrote, of all of them or of one, also while they are written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from argosy.local.node import Node
from argosy.local.runs.record import Record

_CHUNK = 256 * 1024


INTERVAL = 0.3


def follow(
    folder: Path,
    step: str | None,
    *,
    wait: bool,
    tail: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Line]:
    """The lines of a run; with `wait`, those to come, until the run is over.

    With `tail`, of those that are there only so many of each step, the last ones.

    Raises:
        UsageError: the folder holds no run, or `step` is not a step of it.
    """
    record = Record.read(folder)
    while wait and record.state == "running" and record.problem:  # it has the folder and is about to begin
        sleep(INTERVAL)
        record = Record.read(folder)
    record.whole()
    wanted = record.node(step).name if step else None
    logs = RunLogs(folder)
    while True:
        logs.steps = inside(record, wanted) if wanted else None
        yield from logs.new(record) if tail is None else _last(logs.new(record), tail)
        tail = None
        if not wait or record.state != "running":
            return
        sleep(INTERVAL)
        record = Record.read(folder).whole()


def _last(lines: Iterable[Line], count: int) -> Iterator[Line]:
    kept: dict[str, deque[Line]] = {}
    for line in lines:
        kept.setdefault(line.step, deque(maxlen=count)).append(line)
    for of_step in kept.values():
        yield from of_step


@dataclass(frozen=True)
class Line:
    """One line of a step's output."""

    step: str
    attempt: int
    text: str


@dataclass
class RunLogs:
    """Reads on where it stopped: each line comes once."""

    folder: Path
    steps: frozenset[str] | None = None
    """Names of the steps that are asked for; None: all."""
    _followed: dict[Path, LogFollower] = field(default_factory=dict)

    def new(self, record: Record) -> Iterator[Line]:
        """The lines that were added since the last look; a last one without an end once its step is over."""
        for node in record.nodes:
            if self.steps is None or node.name in self.steps:
                yield from self._of(record, node)

    def _of(self, record: Record, node: Node) -> Iterator[Line]:
        earlier = [path for a in node.attempts if (path := record.log_of(a))]
        current = record.log_of(node)
        files = earlier if current is None or current in earlier else [*earlier, current]
        for number, path in enumerate(files):
            over = node.phase.is_final or path != files[-1] or record.state != "running"
            follower = self._followed.setdefault(path, LogFollower(path))
            for text in follower.lines(last=over):
                yield Line(node.name, number, text)


def inside(record: Record, name: str) -> frozenset[str]:
    """A node and all that is inside of it."""
    found = {name}
    for node in record.nodes:  # a parent comes before what is inside of it
        if node.parent in found:
            found.add(node.name)
    return frozenset(found)


class LogFollower:
    """Complete lines that were added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""

    def lines(self, *, last: bool = False) -> list[str]:
        """New lines; with `last`, also one that no newline ends. A file that does not exist yet has none."""
        found: list[str] = []
        while chunk := self._read():
            *complete, self._rest = (self._rest + chunk).split(b"\n")
            found += [_text(line) for line in complete]
        if last and self._rest:
            found.append(_text(self._rest))
            self._rest = b""
        return found

    @property
    def unfinished(self) -> str:
        """The last line as it stands, where no newline has ended it: a bar that is drawn over and over."""
        return _text(self._rest) if self._rest else ""

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                chunk = file.read(_CHUNK)
        except OSError:
            return b""
        self._position += len(chunk)
        return chunk


def _text(line: bytes) -> str:
    """A line as a terminal would leave it: of a progress bar, its last state; no control characters."""
    text = line.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2]
    return "".join(c for c in text.expandtabs() if c.isprintable())
