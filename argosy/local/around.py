"""Runs one step's program in a container, and leaves no container behind. A script, as `guard` is.

    python -I -S around.py PARENT_PID STATUS_FD GRACE_SECONDS ORDERS COMMAND...

The engine keeps a container, which the death of its client does not end. So ORDERS, a file of JSON, says
what belongs around COMMAND: `before` makes the container, and a failure of that is told as `refused N`;
`after` are commands that fetch what the program left, not carried out once the runner is dead; `last` removes
the container, whatever came before. Each is `{"words": [...], "out": FILE or null}`; what they complain of
goes to the file `told`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FrameType
from typing import Any

# By its file: the folder of this one, on the path, would hide modules of the standard library.
guard: Any = SourceFileLoader("guard", str(Path(__file__).with_name("guard.py"))).load_module()

_SIGNALS = (signal.SIGTERM, signal.SIGALRM)


class Keeper:
    """Runs commands one after the other, each in a process group of its own; a SIGTERM stops what runs."""

    def __init__(self, parent: int, status: int, grace: float) -> None:
        self.parent, self.status, self.grace = parent, status, grace
        self.asked = False
        """Whether a stop was asked for."""
        self._group = 0
        self._patient = True
        signal.signal(signal.SIGALRM, lambda _signal, _frame: self._signal(signal.SIGKILL))
        signal.signal(signal.SIGTERM, self._stop)
        if self.orphaned:
            self.asked = True

    @property
    def orphaned(self) -> bool:
        """Whether the runner is dead."""
        return os.getppid() != self.parent

    def run(self, command: list[str], *, patient: bool = True, out: int = -1, err: int = -1) -> int:
        """Run a command to its end; returns its wait status.

        One that is not `patient` is killed at once when a stop is asked for. `out` and `err` are descriptors
        for its output, in place of this process's.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        child = os.fork()
        if child == 0:
            self._become(command, out, err)
        with suppress(OSError):  # whoever comes first: then no signal can miss it
            os.setpgid(child, child)
        self._group, self._patient = child, patient
        if self.asked:  # before it began
            self._signal(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _, ended = os.waitpid(child, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._signal(signal.SIGKILL)  # what it left in its group
        self._group = 0
        return ended

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True
        self._signal(signal.SIGTERM if self._patient and not self.orphaned else signal.SIGKILL)
        signal.setitimer(signal.ITIMER_REAL, max(self.grace, 0.001))

    def _signal(self, number: int) -> None:
        if self._group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)

    def _become(self, command: list[str], out: int, err: int) -> None:
        os.setpgid(0, 0)
        for number in (*_SIGNALS, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        for given, place in ((out, 1), (err, 2)):
            if given >= 0:
                os.dup2(given, place)
        try:
            os.execvpe(command[0], command, os.environ)
        except OSError as error:
            os.write(self.status, f"error {error.strerror}\n".encode())
        finally:
            os._exit(127)


def main(parent: int, status: int, grace: float, orders: str, command: list[str]) -> None:
    """Carry out the orders around `command`, and report its end on `status`."""
    guard.adopt(parent)
    os.set_inheritable(status, False)
    keeper = Keeper(parent, status, grace)
    steps = json.loads(Path(orders).read_text(encoding="utf-8"))
    told = os.open(steps["told"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        ended = _carried_out(keeper, steps, told, command)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        _remove(steps["last"]["words"], told)
    guard.kill_orphans()
    with suppress(BrokenPipeError):
        os.write(status, ended.encode() + b"\n")


def _carried_out(keeper: Keeper, steps: dict[str, Any], told: int, command: list[str]) -> str:
    """Make the container, run the command, fetch what is left; how the command ended."""
    made = _call(keeper, steps["before"], told)
    if keeper.asked:
        return f"signal {int(signal.SIGTERM)}"
    if made:
        return f"refused {os.waitstatus_to_exitcode(made)}"
    ended = keeper.run(command)
    keeper.asked = False  # what fetches is not what was to be stopped
    for step in steps["after"]:
        if not keeper.orphaned:
            _call(keeper, step, told)
    return f"signal {os.WTERMSIG(ended)}" if os.WIFSIGNALED(ended) else f"exit {os.WEXITSTATUS(ended)}"


def _call(keeper: Keeper, step: dict[str, Any], told: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    out = os.open(step["out"] or os.devnull, flags, 0o600)
    try:
        return keeper.run(step["words"], patient=False, out=out, err=told)
    finally:
        os.close(out)


def _remove(words: list[str], told: int) -> None:
    """Run a command that no signal to this process stops."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    places = [(os.POSIX_SPAWN_DUP2, quiet, 1), (os.POSIX_SPAWN_DUP2, told, 2)]
    os.waitpid(os.posix_spawnp(words[0], words, os.environ, file_actions=places, setsigmask=()), 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
