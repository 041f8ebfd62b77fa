"""Programs that are started before their turn, so that their imports overlap with the step before them.

A possible difference from a plain start is excluded, not weighed: such a process is started in the step's own
folder with the step's whole environment, and used only if both are the same at its turn. It waits for a
minute at most: after a longer step a second or two are of no account, and its memory is.

ARGOSY_STANDBY=0 starts every step plainly, neither before its turn nor by forking (forkserver.py).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from argosy.local.errors import NodeError
from argosy.local.forkserver import ForkServer
from argosy.local.process import Ended, Guarded

SWITCH = "ARGOSY_STANDBY"
PATIENCE = 60.0
"""Seconds that a program waits for its turn."""

DELAY = 0.35
"""Seconds from a step's own start to that of the first, and from one to the next: each imports by itself."""

AT_MOST = 2
"""Programs that wait at the same time."""

_PROGRAM = str(Path(__file__).with_name("standby.py"))


@dataclass(frozen=True)
class Start:
    """All that the imports of `python -m MODULE` can depend on."""

    module: str
    cwd: Path
    env: Mapping[str, str]


class Standby:
    """A program that waits for its turn (standby.py), under the same guard as any step."""

    def __init__(self, start: Start, forks: ForkServer | None = None) -> None:
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
            argv = [sys.executable, _PROGRAM, str(number), self.start.module]
            return await Guarded.start(argv, cwd=cwd, env=env, out=output, err=output, pass_fds=(number,))
        return None

    def _answered(self) -> bool:
        try:
            return bool(self._control.recv(1))
        except OSError:
            return False


class Standbys:
    """The waiting programs of a run, by the names of their nodes."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._enabled = environment.get(SWITCH) != "0"
        self.forks = ForkServer(environment) if self._enabled else None
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
