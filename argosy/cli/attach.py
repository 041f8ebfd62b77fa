"""`argosy attach`: a run that goes on, on this terminal again; and how it left it.

On a terminal a run is carried out by a child, which gets a session of its own on `q`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from argosy.cli.completion import runs
from argosy.cli.stack import state_dir_option
from argosy.local.console import has_keys

if TYPE_CHECKING:
    from argosy.cli.execution import Leave

_PARENT_DEATH_SIGNAL = 1
_FROM_KERNEL = 0x80  # si_code of a signal that the terminal sent, to parent and child alike
_LEFT = signal.SIGUSR1
_WATCHED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, _LEFT}


@click.command()
@click.argument("run", default="last", shell_complete=runs)
@state_dir_option
def attach(run: str, state_dir: Path) -> None:
    """Follow a run that goes on, and end with its exit code.

    It is shown as `argosy run` shows it.

    On a terminal `q` detaches again, and Ctrl-C stops the run. Elsewhere lines are printed, and Ctrl-C ends
    this command alone.
    """
    from argosy.cli.execution import print_summary, resume_command, standing
    from argosy.errors import UsageError
    from argosy.local.runs.attach import died, watch
    from argosy.local.runs.record import History, Record

    record = History(state_dir).find(run)
    if record.state == "interrupted":
        raise UsageError(died(record))
    if record.state == "finished":
        click.echo(
            f"{record.run} is over: {record.phase}; look at it with: argosy show {record.run}", err=True
        )
        sys.exit(0 if record.phase == "Succeeded" else 1)
    try:
        result = watch(record.folder.resolve())
        if result is None:
            click.echo(left(record.run), err=True)
            return
        places = {"run": str(result.run_dir)}
        if not result.succeeded and record.alone is None:
            places["again"] = resume_command(record.run, result)
        print_summary(Console(stderr=True, highlight=False), result, places)
    except KeyboardInterrupt:
        click.echo(f"no longer followed; {standing(Record.read(record.folder))}", err=True)
        sys.exit(130)
    sys.exit(0 if result.succeeded else 1)


def left(run: str) -> str:
    """The line after `q`."""
    return f"detached: {run} goes on; follow it again with: argosy attach {run}"


def detachable(work: Callable[[Leave | None], int], told: str) -> int:
    """Do `work` to its end and return its exit code, or end before it, once it calls what it is given.

    On a terminal the work is done by a child of this process, so that the shell can have its terminal back
    while the work goes on; `told` is then said. Ctrl-C and Ctrl-Z reach both; a signal sent to this process
    alone, and the end of the terminal, is handed on; if this process is killed, the child dies with it.
    Elsewhere nothing is forked.
    """
    if not (has_keys() and hasattr(signal, "sigwaitinfo") and threading.active_count() == 1):
        return work(None)
    parent, attributes = os.getpid(), termios.tcgetattr(sys.stdin.fileno())
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    child = os.fork()
    if child == 0:
        _die_with_parent(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sys.exit(work(lambda: _go_on_alone(parent)))
    code = _outcome(child)
    if code is None:
        with suppress(OSError):  # the terminal may be gone
            print(told, file=sys.stderr)
        code = 0
    else:  # a child that was killed could not
        with suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, attributes)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)  # what ends with this process, such as temporary folders, is the child's


def _outcome(child: int) -> int | None:
    """The child's exit code; None if it has left the terminal."""
    while True:
        came = signal.sigwaitinfo(_WATCHED)
        if came.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        elif came.si_signo == _LEFT:
            return None
        elif (
            came.si_signo == signal.SIGHUP
        ):  # of a closed terminal the kernel tells the session's leader alone
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
                os.kill(child, signal.SIGHUP)
        elif came.si_code != _FROM_KERNEL:
            os.kill(child, came.si_signo)


def _die_with_parent(parent: int) -> None:
    _set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _set_parent_death_signal(number: int) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux
        prctl(_PARENT_DEATH_SIGNAL, int(number), 0, 0, 0)


def _go_on_alone(parent: int) -> None:
    """Go on without terminal and parent; what standard output was sent to elsewhere still gets it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if os.isatty(descriptor):
            os.dup2(nothing, descriptor)
    os.close(nothing)
    os.setsid()
    _set_parent_death_signal(0)
    os.kill(parent, _LEFT)
