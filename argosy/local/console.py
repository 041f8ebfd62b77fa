"""A run on the terminal: a live tree where there is one, plain lines elsewhere, and the keys that are taken.

Everything goes to stderr.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import termios
import threading
import tty
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any, Protocol, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from argosy.local.approval import Ask
from argosy.local.job import Plan, WorkflowResult
from argosy.local.node import Node, Phase
from argosy.local.runs.logs import LogFollower
from argosy.local.runs.screen import describe
from argosy.text import one_line

HINT = "q detaches, Ctrl-C stops the run"
DETACH = b"q"

_LOGGED = re.compile(r"[\d-]{10} [\d:,]{12} [A-Z]+ [\w.]+: ")  # before the lines of a step's own log
_OURS = re.compile(r"progress:\s*(?:(\d+(?:\.\d+)?)\s*%|([a-z]+\s+)?(\d+)\s*/\s*(\d+))\s*(.*)", re.IGNORECASE)
_TQDM = re.compile(r"(?:(.*?):\s*)?\s*(\d{1,3})%\|[^|]*\|\s*(.*)")
_BAR = 16  # characters of a bar
_LONGEST = 2000  # of a step's line, in characters; the log has all of it
_INTERVAL = 0.3  # seconds between two looks at the logs
_PER_SECOND = 4  # drawings of the tree


class View(Protocol):
    """The view of a run while it goes on."""

    def begin(self, run_dir: Path) -> None:
        """Nodes are about to come."""

    def on_node(self, node: Node) -> None:
        """Show a change."""

    def end(self, nodes: Iterable[Node] = ()) -> None:
        """Show the last state, of these nodes where some are given, and no more."""


class ConsoleReporter:
    """Shows a run while it goes on and, at its end, the last lines of the steps that failed.

    With `leave`, the terminal's key `q` ends the view and calls it: what comes after is not shown. `hint` is
    the last line of a live view.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        live: bool | None = None,
        leave: Callable[[], None] | None = None,
        hint: str = "",
    ) -> None:
        file = _Steady(stream or sys.stderr)
        self._console = Console(file=file, highlight=False, markup=False, soft_wrap=True)  # type: ignore[arg-type]
        can_redraw = self._console.is_terminal and not self._console.is_dumb_terminal
        is_live = can_redraw if live is None else live
        self._leave = leave if is_live else None
        self._keys = Keys() if self._leave else None
        hint = HINT if self._leave else hint
        self._view: View = LiveTree(self._console, hint) if is_live else PlainLines(self._console)
        self._is_left = False

    def on_start(self, plan: Plan) -> None:
        """Name the run and its folder; from now on the key counts."""
        self.begin(plan.name, plan.run_dir or Path())
        if self._keys:
            self._keys.start()
            asyncio.get_running_loop().add_reader(self._keys.descriptor, self._on_key, self._keys)

    def begin(self, name: str, run_dir: Path) -> None:
        """Name the run and its folder."""
        self._console.print(Text.assemble(("workflow ", "dim"), name, (f"  {run_dir}", "dim")))
        self._view.begin(run_dir)

    def end(self) -> None:
        """Show no more, though the run goes on."""
        if not self._is_left:
            self._is_left = True
            self._view.end()

    def on_node(self, node: Node) -> None:
        """Show a change."""
        if not self._is_left:
            self._view.on_node(node)

    def on_finish(self, result: WorkflowResult) -> None:
        """End the view; show what failed."""
        if self._is_left:
            return
        self._release()
        self._is_left = True
        self._view.end(result.nodes)
        for node in result.failed_nodes:
            self._show_failure(node, result)
        if result.message and not result.succeeded:
            self._console.print(Text(f"{result.phase.value}: {one_line(result.message)}", "red"))

    def asked(self, ask: Ask) -> Ask:
        """A question to the person at the terminal, whose answer is not taken for keys; a run may be left."""

        async def asking(node: str) -> bool | None:
            keys, loop = self._keys, asyncio.get_running_loop()
            if self._is_left:
                return None
            if keys is None:
                return await ask(node)
            loop.remove_reader(keys.descriptor)
            try:
                with keys.asking():
                    return await ask(node)
            finally:
                loop.add_reader(keys.descriptor, self._on_key, keys)

        return asking

    def _on_key(self, keys: Keys) -> None:
        pressed = keys.pressed()
        if keys.gone:  # its signal ends the run, unless somebody has it ignored: then the run goes on alone
            self._release()
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        if self._leave and (DETACH in pressed or (keys.gone and ignored)):
            self._release()
            with suppress(OSError):
                self.end()
            self._leave()

    def _release(self) -> None:
        """Give the terminal back."""
        if self._keys:
            asyncio.get_running_loop().remove_reader(self._keys.descriptor)
            self._keys.stop()
            self._keys = None

    def _show_failure(self, node: Node, result: WorkflowResult) -> None:
        head = Text.assemble("\n", (f"'{one_line(node.name)}' {node.phase.value}", "bold red"))
        head.append(f": {one_line(node.message)}")
        self._console.print(head)
        for line in node.log_tail:
            self._console.print(Text(f"  {one_line(line)}", "dim"))
        if node.log:
            self._console.print(Text(f"  whole log: {result.run_dir / node.log}", "dim"))


class _Steady:
    """A stream that is silent once it cannot be written, as on a full disk: the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        with self._silenced():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with self._silenced():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _silenced(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with suppress(OSError, ValueError):  # a stream without a descriptor
                into_nothing(self._stream.fileno())


def into_nothing(descriptor: int) -> None:
    """Let a descriptor lead to nowhere, whatever it was. Raises OSError."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)


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


@dataclass(frozen=True)
class Progress:
    """How far a step is: `share` from 0 to 1, and what it says beside."""

    share: float
    text: str

    def bar(self) -> Text:
        """A bar, the share in percent, and the text."""
        full = round(self.share * _BAR)
        parts = [("━" * full, "cyan"), ("━" * (_BAR - full), "dim"), (f" {self.share:4.0%}", "")]
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


class Keys:
    """The terminal in a mode in which a key needs no Enter; Ctrl-C and Ctrl-Z stay what they are."""

    def __init__(self) -> None:
        self.descriptor = sys.stdin.fileno()
        self._saved: list[object] | None = None
        self._asking = False
        self.gone = False

    def start(self) -> None:
        """Take keys from now on; `gone` is set if the terminal was closed."""
        try:
            saved = termios.tcgetattr(self.descriptor)
            tty.setcbreak(self.descriptor, termios.TCSADRAIN)
        except termios.error:
            self.gone = True
        else:
            self._saved = saved

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._saved is not None:
            with suppress(termios.error):  # the terminal may be gone
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            self._saved = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While inside: lines are typed and seen, for a question; no key is taken."""
        self._asking = True
        self.stop()
        try:
            yield
        finally:
            self.start()
            self._asking = False

    def pressed(self, seconds: float = 0) -> bytes:
        """The keys that were pressed; waits for one at most that long. `gone` is set once none can come."""
        if self._asking or self._saved is None or not select([self.descriptor], [], [], seconds)[0]:
            return b""
        try:
            keys = os.read(self.descriptor, 64)
        except OSError:  # of a terminal that was closed
            keys = b""
        self.gone = not keys
        return keys


def has_keys() -> bool:
    """Whether a person sits at the terminal, and this process is what the keys are for."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return False
