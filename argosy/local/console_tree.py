"""How a run looks while it runs: a tree that fits a terminal, or plain lines without one."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from argosy.local.node import Node, Phase
from argosy.local.runs.logs import LogFollower
from argosy.text import one_line

_LOOKS = {
    Phase.PENDING: ("◌", "dim"),
    Phase.RUNNING: ("●", "cyan"),
    Phase.SUCCEEDED: ("✔", "green"),
    Phase.FAILED: ("✖", "red"),
    Phase.ERROR: ("⚠", "red"),
    Phase.SKIPPED: ("○", "dim"),
    Phase.OMITTED: ("○", "dim"),
}


def describe(node: Node, name: str) -> Text:
    """Symbol, name, duration, and what there is to say."""
    waits = node.seconds_to_retry
    symbol, style = ("◌", "yellow") if waits is not None else _LOOKS[node.phase]
    name = one_line(name)
    line = Text.assemble((f"{symbol} ", style), (name, "" if style in ("cyan", "yellow") else style))
    if node.started_at:
        line.append(f"  {duration(node.seconds)}", "dim")
    if node.phase in (Phase.FAILED, Phase.ERROR, Phase.SKIPPED, Phase.OMITTED):
        line.append(f"  {node.phase.value}", style)
    if node.reused:
        line.append(f"  from {one_line(node.reused)}", "magenta")
    if node.message:
        line.append(f"  {one_line(node.message)}", "red" if node.phase.is_bad else "dim")
    if waits is not None:
        line.append(f"  retry in {waits} s", "yellow")
    return line


def duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3m05s`, `2h10m`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def fitting(nodes: Iterable[Node], height: int) -> tuple[list[Node], str]:
    """The nodes to show, with all that they are inside of, and one line about the others, if any.

    They are in their order, and at most `height` lines together with that line.
    """
    known = {node.name: node for node in nodes}
    if len(known) <= height:
        return list(known.values()), ""
    room, chosen = max(1, height - 1), set[str]()
    for node in sorted(known.values(), key=_rank):
        needed = _with_parents(node, known) - chosen
        if len(chosen) + len(needed) <= room:
            chosen |= needed
        if len(chosen) == room:
            break
    rest = Counter(node.phase.value for node in known.values() if node.name not in chosen)
    told = ", ".join(f"{count} {phase}" for phase, count in rest.most_common())
    return [node for node in known.values() if node.name in chosen], f"and {told}"


def _rank(node: Node) -> tuple[int, float]:
    composite = node.kind in ("Loop", "DAG", "Steps", "ContainerSet")
    if node.phase is Phase.RUNNING:
        return (1 if composite else 0), 0.0
    if node.phase.is_bad:
        return 2, 0.0
    if node.phase is Phase.PENDING:
        return 4, 0.0
    ended = node.finished_at or ""
    return 3, -float("".join(c for c in ended if c.isdigit()) or 0)


def _with_parents(node: Node, known: dict[str, Node]) -> set[str]:
    found = {node.name}
    while node.parent in known:
        node = known[node.parent]
        found.add(node.name)
    return found


_LOGGED = re.compile(r"[\d-]{10} [\d:,]{12} [A-Z]+ [\w.]+: ")  # before the lines of a step's own log
_OURS = re.compile(r"progress:\s*(?:(\d+(?:\.\d+)?)\s*%|([a-z]+\s+)?(\d+)\s*/\s*(\d+))\s*(.*)", re.IGNORECASE)
_TQDM = re.compile(r"(?:(.*?):\s*)?\s*(\d{1,3})%\|[^|]*\|\s*(.*)")
_WIDTH = 16


@dataclass(frozen=True)
class Progress:
    """How far a step is: `share` from 0 to 1, and what it says beside."""

    share: float
    text: str

    def bar(self) -> Text:
        """A bar, the share in percent, and the text."""
        full = round(self.share * _WIDTH)
        parts = [("━" * full, "cyan"), ("━" * (_WIDTH - full), "dim"), (f" {self.share:4.0%}", "")]
        return Text.assemble(*parts, (f"  {self.text}" if self.text else "", "dim"))


def read_progress(line: str) -> Progress | None:
    """The progress in a line, if it tells of any."""
    logged = _LOGGED.match(line)
    if match := _OURS.fullmatch(line[logged.end() if logged else 0 :].strip()):
        percent, noun, done, of, text = match.groups()
        share = float(percent) / 100 if percent else int(done) / max(1, int(of))
        counted = f"{noun or ''}{done}/{of} {text}".strip() if done else text
        return Progress(min(1.0, share), counted.strip())
    if match := _TQDM.fullmatch(line.rstrip()):
        title, percent, rest = match.groups()
        return Progress(min(1.0, int(percent) / 100), " ".join(p for p in (title, rest) if p).strip())
    return None


_INTERVAL = 0.3
_LONGEST = 2000  # of a step's line, in characters; the log has all of it


class PlainLines:
    """One line a change of phase; the steps' own lines as `name | line`, while they run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._run_dir = Path()
        self._followed: dict[str, LogFollower] = {}
        self._logs: dict[str, str] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="logs", daemon=True)

    def begin(self, run_dir: Path) -> None:
        """Begin to follow the logs."""
        self._run_dir = run_dir
        self._thread.start()

    def on_node(self, node: Node) -> None:
        """Print a line for what started or ended, after what it said."""
        with self._lock:
            if node.log and self._logs.get(node.name) != node.log and not node.phase.is_final:
                self._print_log(node.name, last=True)  # of the attempt before this one
                self._logs[node.name] = node.log
                self._followed[node.name] = LogFollower(self._run_dir / node.log)
            if node.phase.is_final:
                self._print_log(node.name, last=True)
                self._followed.pop(node.name, None)
            if node.phase is not Phase.PENDING:
                self._print(describe(node, node.name))

    def end(self, nodes: Iterable[Node] = ()) -> None:
        """Stop following."""
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(_INTERVAL):
            with self._lock:
                for name in list(self._followed):
                    self._print_log(name)

    def _print_log(self, name: str, *, last: bool = False) -> None:
        follower = self._followed.get(name)
        for line in follower.lines(last=last) if follower else ():
            self._print(Text.assemble((f"  {one_line(name)} | ", "dim"), one_line(line, _LONGEST)))

    def _print(self, line: Text) -> None:
        if self._console.color_system is not None:
            self._console.print(line)
            return
        # Without colours a line is its text: a tenth of the time, which thousands of steps would feel.
        self._console.file.write(f"{line.plain}\n")
        self._console.file.flush()


_PER_SECOND = 4


class LiveTree:
    """Redraws itself a few times a second; the last state stays on the screen."""

    def __init__(self, console: Console, hint: str = "") -> None:
        self._live = Live(self, console=console, refresh_per_second=_PER_SECOND, transient=False)
        self._nodes: dict[str, Node] = {}
        self._logs: dict[str, tuple[str, LogFollower]] = {}
        self._said: dict[str, str] = {}
        self._bars: dict[str, Progress] = {}
        self._run_dir = Path()
        self._hint = hint

    def begin(self, run_dir: Path) -> None:
        """Begin to draw."""
        self._run_dir = run_dir
        self._live.start()

    def on_node(self, node: Node) -> None:
        """Take note of a change; the next redraw shows it."""
        self._nodes[node.name] = node
        if node.log and node.phase is Phase.RUNNING and self._logs.get(node.name, ("",))[0] != node.log:
            self._logs[node.name] = (node.log, LogFollower(self._run_dir / node.log))

    def end(self, nodes: Iterable[Node] = ()) -> None:
        """Draw the last state, of these nodes where some are given, and stop."""
        self._nodes = {node.name: node for node in nodes} or self._nodes
        self._hint = ""
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        nodes, rest = fitting(list(self._nodes.values()), max(4, options.size.height - 2 - bool(self._hint)))
        branches: dict[str, Tree] = {"": Tree(Text("", "dim"), hide_root=True)}
        for node in nodes:  # a parent always appears before what is inside of it
            above = branches.get(node.parent, branches[""])
            branches[node.name] = above.add(self._line(node, options.max_width))
        for line in filter(None, (rest, self._hint)):
            branches[""].add(Text(line, "dim"))
        yield branches[""]

    def _line(self, node: Node, width: int) -> Text:
        name = Text(one_line(node.display_name))
        name.truncate(max(20, width // 2), overflow="ellipsis")  # what follows is seen, too
        line = describe(node, name.plain)
        if node.phase is Phase.RUNNING and node.retry_at is None and node.name in self._logs:
            follower = self._logs[node.name][1]
            for said in (*follower.lines(), follower.unfinished):
                self._hear(node.name, said)
            bar = self._bars.get(node.name)
            line.append("  ")
            line.append_text(bar.bar() if bar else Text(self._said.get(node.name, ""), "dim"))
            line.truncate(max(20, width - 8), overflow="ellipsis")
        return line

    def _hear(self, name: str, said: str) -> None:
        """A line of a step: a bar that is not full stays, with what is said after it beside."""
        if not said:
            return
        self._said[name] = said
        before = self._bars.pop(name, None)
        if progress := read_progress(said):
            self._bars[name] = progress
        elif before and before.share < 1:
            self._bars[name] = Progress(before.share, said)
