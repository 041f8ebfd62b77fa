"""One program: started, watched, stopped in time, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from argosy.runner.errors import NodeError

RESULT_LIMIT = 256 * 1024
"""Bytes of standard output that become `outputs.result`: the last ones, as in Argo."""

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_GUARD = str(Path(__file__).with_name("guard.py"))
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Ended:
    """How a program ended. `code` is a shell's view: 128 + N after signal N."""

    code: int
    signal: int | None
    timed_out: bool
    result: str | None

    @property
    def message(self) -> str:
        """Empty after success; else the exit code, and the signal behind it."""
        if self.code == 0:
            return ""
        number = self.signal or (self.code - 128 if self.code in (137, 143) else None)
        name = f" ({signal.Signals(number).name})" if number in set(signal.Signals) else ""
        return f"exit code {self.code}{name}"


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    capture: bool,
    limit: float | None,
) -> Ended:
    """Run `argv` to its end; its output goes to `log`, in the order it was written.

    With `capture`, standard output is also returned, which takes a pipe: only then may lines of the two
    streams that are written within the same moment change places. `limit` is in seconds. Cancelling stops
    the program first. Raises NodeError if it cannot be started.
    """
    status_read, status_write = os.pipe()
    guard = [sys.executable, "-I", "-S", _GUARD, str(os.getpid()), str(status_write), str(GRACE), *argv]
    with log.open("ab", buffering=0) as sink, os.fdopen(status_read, "rb") as status:
        try:
            process = await asyncio.create_subprocess_exec(
                *guard,
                cwd=cwd,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if capture else sink,
                stderr=sink,
                pass_fds=(status_write,),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NodeError(f"cannot start {argv[0]}: {error}") from error
        finally:
            os.close(status_write)
        tail: deque[bytes] = deque()
        reader = asyncio.create_task(_pump(process.stdout, sink, tail))
        try:
            timed_out = await _wait(process, limit)
        finally:
            await reader
        return _ended(status.read().decode(), argv[0], timed_out, _result(tail) if capture else None)


async def _wait(process: asyncio.subprocess.Process, limit: float | None) -> bool:
    """Wait for the guard; True if time ran out and it had to be stopped."""
    try:
        await asyncio.wait_for(asyncio.shield(process.wait()), limit)
        return False
    except (asyncio.TimeoutError, TimeoutError):
        await _stop(process)
        return True
    except asyncio.CancelledError:
        await asyncio.shield(_stop(process))
        raise


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def _pump(stream: asyncio.StreamReader | None, sink: BinaryIO, tail: deque[bytes]) -> None:
    size = 0
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        sink.write(chunk)
        tail.append(chunk)
        size += len(chunk)
        while size - len(tail[0]) >= RESULT_LIMIT:
            size -= len(tail.popleft())


def _result(tail: deque[bytes]) -> str:
    text = b"".join(tail)[-RESULT_LIMIT:].decode("utf-8", errors="replace")
    return text.removesuffix("\n")


def _ended(status: str, program: str, timed_out: bool, result: str | None) -> Ended:
    kind, _, rest = (status.splitlines() or ["signal 9"])[0].partition(" ")
    if kind == "error":
        raise NodeError(f"cannot start {program}: {rest}")
    number = int(rest)
    if kind == "signal":
        return Ended(128 + number, number, timed_out, result)
    return Ended(number, None, timed_out, result)
