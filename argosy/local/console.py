"""A run on the terminal: a live tree where there is one, plain lines elsewhere, and the keys that are taken.

Everything goes to stderr.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.text import Text

from argosy.local.approval import Ask
from argosy.local.console_tree import LiveTree, PlainLines
from argosy.local.job import Plan, WorkflowResult
from argosy.local.node import Node
from argosy.text import one_line

HINT = "q detaches, Ctrl-C stops the run"

DETACH = b"q"


class View(Protocol):
    """The view of a run while it goes on."""

    def begin(self, run_dir: Path) -> None:
        """Nodes are about to come."""

    def on_node(self, node: Node) -> None:
        """Show a change."""

    def end(self, nodes: Iterable[Node] = ()) -> None:
        """Show the last state, of these nodes where some are given, and no more."""


def into_nothing(descriptor: int) -> None:
    """Let a descriptor lead to nowhere, whatever it was. Raises OSError."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)


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
        is_live = self._console.is_terminal if live is None else live
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
        """A question to the person at the terminal, whose answer is not taken for keys."""

        async def asking(node: str) -> bool:
            keys, loop = self._keys, asyncio.get_running_loop()
            if keys is None or self._is_left:
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
