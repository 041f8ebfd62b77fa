"""Programs that start sooner: before their turn, or forked from a process that has the SDK loaded.

A possible difference from a plain start is excluded, not weighed. Before its turn a process is started in the
step's own folder with the step's whole environment, and used only if both are the same at its turn, so that
its imports overlap with the step before. It waits for a minute at most: after a longer step a second or two
are of no account, and its memory is. Forked are only `python -m argosy.step ...`, the SDK's own modules and
those of a product that says so, which import the SDK before all else, and only where the variables that
Python, the C library and the loader read at their start are the same as the server's.  The steps of such a
product (`StepImports`, stacks.py) are forked from a second server, which imports what they import, once for
all (forks.py): only where all variables are the server's, but for those that the SDK itself reads, and the
folder is empty, so that nothing in it is taken for a package.

ARGOSY_STANDBY=0 starts every step plainly.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from argosy.local.errors import NodeError
from argosy.local.process import GRACE, Ended, Guarded
from argosy.local.stacks import StepImports, step_imports

SWITCH = "ARGOSY_STANDBY"
PATIENCE = 60.0
"""Seconds that a program waits for its turn."""

DELAY = 0.35
"""Seconds from a step's own start to that of the first, and from one to the next: each imports by itself."""

AT_MOST = 2
"""Programs that wait at the same time."""

_STANDBY = str(Path(__file__).with_name("standby.py"))

_FORKS = str(Path(__file__).with_name("forks.py"))
_READ_AT_THE_START = ("GLIBC_", "HOME", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "TZ")
_READ_AFTER_IMPORTS = ("ARGOSY_", "TMPDIR")
_SDK = "argosy"
_FORKS_POSSIBLE = hasattr(os, "memfd_create") and hasattr(os, "pidfd_open")  # Linux


@dataclass(frozen=True)
class Start:
    """All that the imports of `python -m MODULE` can depend on."""

    module: str
    cwd: Path
    env: Mapping[str, str]


class Standbys:
    """The waiting programs of a run, by the names of their nodes."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._enabled = environment.get(SWITCH) != "0"
        self.forks = Forks(environment) if self._enabled else None
        self._waiting: dict[str, tuple[Standby, Path, asyncio.TimerHandle]] = {}
        self._known: set[str] = set()
        self._ending: set[asyncio.Future[None]] = set()

    def wants(self, name: str) -> bool:
        """Whether a program may be started for a node now: once for each, and not too many at a time."""
        return self._enabled and name not in self._known and len(self._waiting) < AT_MOST

    def expect(self, name: str, start: Start, folder: Path) -> None:
        """Start a program. `folder`, made for it, is removed again if its turn does not come."""
        self._known.add(name)
        timer = asyncio.get_running_loop().call_later(PATIENCE, self.discard, name)
        self._waiting[name] = Standby(start, self.forks), folder, timer

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Standby | None]:
        """The program that waits for a node's turn, if there is one; it is over when this is."""
        self._known.add(name)
        standby, _, timer = self._waiting.pop(name, (None, None, None))
        if timer is not None:
            timer.cancel()
        try:
            yield standby
        finally:
            if standby is not None:
                await asyncio.shield(standby.stop())

    def discard(self, name: str) -> None:
        """The node's turn will not come, or not soon."""
        self._known.add(name)
        if name not in self._waiting:
            return
        standby, folder, timer = self._waiting.pop(name)
        timer.cancel()
        shutil.rmtree(folder, ignore_errors=True)  # now: in a moment it may be the running step's
        ending = asyncio.ensure_future(standby.stop())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Stop all that wait, and wait for their end."""
        self._enabled = False
        for name in list(self._waiting):
            self.discard(name)
        await asyncio.shield(asyncio.gather(*self._ending))
        if self.forks is not None:
            await asyncio.shield(self.forks.close())


class Standby:
    """A program that waits for its turn (standby.py), under the same guard as any step."""

    def __init__(self, start: Start, forks: Forks | None = None) -> None:
        self.start, self._forks = start, forks
        self._control, self._theirs = socket.socketpair()
        self._control.setblocking(False)
        self._launched = asyncio.ensure_future(self._launch())

    async def run(
        self, start: Start, arguments: Sequence[str], log: Path, limit: float | None
    ) -> Ended | None:
        """Let it run to its end; None if it is of no use, and never began.

        As with run_process, `limit` is in seconds from now, and cancelling stops the program first.
        """
        guarded = await asyncio.shield(self._launched)
        if guarded is None or start != self.start:
            await self.stop()
            return None
        order = json.dumps({"log": str(log), "arguments": list(arguments)}).encode() + b"\n"
        sender = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(self._control, order))
        with guarded:
            try:
                timed_out = await guarded.wait(limit)
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
            began = timed_out or self._answered()
            return guarded.ended(timed_out, None) if began else None

    async def stop(self) -> None:
        """Stop it, whatever it is at."""
        self._control.close()
        guarded = await asyncio.shield(self._launched)
        if guarded is not None:
            with guarded:
                await guarded.stop()

    async def _launch(self) -> Guarded | None:
        with suppress(NodeError, OSError), self._theirs as theirs, tempfile.TemporaryFile() as output:
            number, cwd, env = theirs.fileno(), self.start.cwd, self.start.env
            plainly = [sys.executable, "-m", self.start.module]
            if self._forks is not None and self._forks.takes(plainly, env):
                return await self._forks.start(plainly, cwd=cwd, env=env, out=output, turn=theirs)
            argv = [sys.executable, _STANDBY, str(number), self.start.module]
            return await Guarded.start(argv, cwd=cwd, env=env, out=output, err=output, pass_fds=(number,))
        return None

    def _answered(self) -> bool:
        try:
            return bool(self._control.recv(1))
        except OSError:
            return False


class Forks:
    """Forks the steps of a run, from the server that fits; each is started with the first of its steps."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._plain = ForkServer(environment)
        self._ahead: ForkServer | None = None

    def takes(self, argv: Sequence[str], env: Mapping[str, str]) -> bool:
        """Whether a forked process would be the same as a plain start of `argv`."""
        if len(argv) < 3 or list(argv[:2]) != [sys.executable, "-m"]:
            return False
        module = argv[2]
        known = module.partition(".")[0] == _SDK or self._is_products(module)
        return known and self._plain.takes(env)

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
        if self._is_products(argv[2]) and self._imports_alike(env) and not any(cwd.iterdir()):
            guarded = await self._server_ahead().start(argv, cwd=cwd, env=env, out=out, turn=turn)
            if guarded is not None:
                return guarded
        return await self._plain.start(argv, cwd=cwd, env=env, out=out, turn=turn)

    async def close(self) -> None:
        """End the servers; their steps have ended."""
        servers = (self._plain, self._ahead)
        await asyncio.gather(*(server.close() for server in servers if server is not None))

    @cached_property
    def _product(self) -> StepImports | None:
        return step_imports()

    def _is_products(self, module: str) -> bool:
        return self._product is not None and self._product.of(module)

    def _server_ahead(self) -> ForkServer:
        if self._ahead is None:
            shared = sorted(self._product.packages) if self._product is not None else ()
            self._ahead = ForkServer(self._environment, "ahead", *shared)
        return self._ahead

    def _imports_alike(self, env: Mapping[str, str]) -> bool:
        differ = dict(env.items() ^ self._environment.items())
        return all(name.startswith(_READ_AFTER_IMPORTS) for name in differ)


class ForkServer:
    """One process that forks steps, and imports ahead for them if it has that mode."""

    def __init__(self, environment: Mapping[str, str], *mode: str) -> None:
        self._environment, self._key, self._mode = environment, _at_the_start(environment), mode
        self._lock = asyncio.Lock()
        self._server: Guarded | None = None
        self._control: socket.socket | None = None
        self._of_use = _FORKS_POSSIBLE
        self._answered = False

    def takes(self, env: Mapping[str, str]) -> bool:
        """Whether a process that is forked starts as one with these variables does."""
        return self._of_use and _at_the_start(env) == self._key

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
                    [sys.executable, _FORKS, str(number), str(GRACE), *self._mode],
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
        if answer == b"no\n":
            raise _NotBegun
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
