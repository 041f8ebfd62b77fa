"""Steps that are forked from a process which has the SDK imported, in place of a new interpreter for each.

A possible difference from a plain start is excluded, not weighed: only `python -m argosy.step ...` and the
SDK's own modules start so, which import the SDK before all else, and only where the variables that Python,
the C library and the loader read at their start are the same as the server's.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from argosy.local.errors import NodeError
from argosy.local.process import GRACE, Ended, Guarded

_PROGRAM = str(Path(__file__).with_name("forks.py"))
_READ_AT_THE_START = ("GLIBC_", "HOME", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "TZ")
_POSSIBLE = hasattr(os, "memfd_create") and hasattr(os, "pidfd_open")  # Linux


class ForkServer:
    """Forks the steps of a run; started with the first of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment, self._key = environment, _at_the_start(environment)
        self._lock = asyncio.Lock()
        self._server: Guarded | None = None
        self._control: socket.socket | None = None
        self._of_use = _POSSIBLE
        self._answered = False

    def takes(self, argv: Sequence[str], env: Mapping[str, str]) -> bool:
        """Whether a forked process would be the same as a plain start of `argv`."""
        module = argv[2] if len(argv) > 2 and list(argv[:2]) == [sys.executable, "-m"] else ""
        own = module.split(".")[0] == "argosy"
        return self._of_use and own and _at_the_start(env) == self._key

    async def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, limit: float | None
    ) -> Ended | None:
        """Run `argv`, which it takes, to its end; None if that cannot be, and never began.

        As with run_process, its output goes to `log`, `limit` is in seconds, and cancelling stops it first.
        """
        with log.open("ab") as sink:
            guarded = await self.start(argv, cwd=cwd, env=env, out=sink)
        if guarded is None:
            return None
        with guarded:
            return guarded.ended(await guarded.wait(limit), None)

    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        out: BinaryIO,
        turn: socket.socket | None = None,
    ) -> Guarded | None:
        """Start `argv`, with `turn` as a program that waits for its turn there; None if that cannot be."""
        order: dict[str, Any] = {
            "module": argv[2],
            "arguments": list(argv[3:]),
            "cwd": str(cwd),
            "env": dict(env),
        }
        descriptors = [out.fileno(), *([turn.fileno()] if turn is not None else [])]
        starting = asyncio.ensure_future(self._start(order, descriptors))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            if guarded := await starting:
                with guarded:
                    await guarded.stop()
            raise

    async def close(self) -> None:
        """End the server; its steps have ended."""
        self._of_use = False
        async with self._lock:
            if self._control is not None:
                self._control.close()
            if self._server is not None:
                with self._server:
                    await self._server.process.wait()

    async def _start(self, order: dict[str, Any], descriptors: list[int]) -> Guarded | None:
        async with self._lock:
            if not self._of_use:
                return None
            try:
                guarded = await _ask(await self._connected(), order, descriptors)
            except _NotBegun:
                self._of_use = False  # whatever it was: the steps start plainly, and say it themselves
                return None
            except _NoAnswer:
                self._of_use = False
                if not self._answered:  # it never came so far as to fork
                    return None
                raise NodeError("the process that starts steps has ended, and the step with it") from None
            self._answered = True
            return guarded

    async def _connected(self) -> socket.socket:
        """The way to the server, which is started if need be. Raises _NotBegun."""
        try:
            return await self._connect()
        except (NodeError, OSError) as error:
            raise _NotBegun from error

    async def _connect(self) -> socket.socket:
        if self._control is None:
            os.close(os.pidfd_open(os.getpid()))  # the kernel, or a container's rules, may forbid it
            self._control, theirs = socket.socketpair()
            self._control.setblocking(False)
            with theirs, tempfile.TemporaryFile() as output:
                number = theirs.fileno()
                self._server = await Guarded.start(
                    [sys.executable, _PROGRAM, str(number), str(GRACE)],
                    cwd=Path("/"), env=self._environment, out=output, err=output, pass_fds=(number,),
                )  # fmt: skip
        return self._control


def _at_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_THE_START)}


class _NotBegun(Exception):
    """The step was not started."""


class _NoAnswer(Exception):
    """The server does not say whether the step was started."""


async def _ask(control: socket.socket, order: dict[str, Any], descriptors: list[int]) -> Guarded:
    """Let the server fork. Raises _NotBegun, _NoAnswer, and NodeError for a step that cannot be watched."""
    try:
        status = _sent(control, order, descriptors)
    except OSError as error:
        raise _NotBegun from error
    try:
        answer = await asyncio.get_running_loop().sock_recv(control, 64)
        if not answer:
            raise _NoAnswer
        pid = int(answer)
        try:
            return Guarded(_Forked(os.pidfd_open(pid)), status, str(order["module"]))
        except OSError as error:
            os.kill(pid, signal.SIGTERM)
            raise NodeError(f"the step cannot be watched, and was stopped: {error}") from error
    except BaseException as error:
        status.close()
        if isinstance(error, ConnectionError):
            raise _NoAnswer from error
        raise


def _sent(control: socket.socket, order: dict[str, Any], descriptors: list[int]) -> BinaryIO:
    """Send an order; the end of the pipe on which its guard reports. Raises OSError."""
    ours, theirs = os.pipe()
    status = os.fdopen(ours, "rb")
    try:
        with os.fdopen(theirs), os.fdopen(os.memfd_create("order"), "wb") as told:
            told.write(json.dumps(order).encode())
            told.flush()
            told.seek(0)
            socket.send_fds(control, [b"+"], [told.fileno(), theirs, *descriptors])
    except BaseException:
        status.close()
        raise
    return status


class _Forked:
    """A process that is not our child, as far as one of asyncio's is asked."""

    stdout = None

    def __init__(self, pidfd: int) -> None:
        self._pidfd = pidfd
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        self._loop.add_reader(pidfd, self._gone)

    def _gone(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.returncode = 0  # the guard's; the step's is what it reports
        self._end.set_result(self.returncode)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    async def wait(self) -> int:
        """Wait for its end."""
        return int(await asyncio.shield(self._end))
