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
from typing import BinaryIO, Protocol

from argosy.local.errors import NodeError, NoProgram, NotMade
from argosy.text import one_line

RESULT_LIMIT = 256 * 1024
"""Bytes of standard output that become `outputs.result`: the last ones, as in Argo."""

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

WORD_LIMIT = 128 * 1024 - 1
"""Bytes of one word of a command line, or of a variable of the environment with its name (Linux)."""

_GUARD = str(Path(__file__).with_name("guard.py"))
_AROUND = str(Path(__file__).with_name("around.py"))
_CHUNK = 64 * 1024
_TOO_MUCH = f"a program's argument holds {WORD_LIMIT:,} at most: let it travel as a file (an artifact)"
_TOGETHER = os.sysconf("SC_ARG_MAX")
_POINTER = 8
_GUARDS_OWN = 4096


def refuse_unfit(argv: Sequence[str], env: Mapping[str, str], parameters: Mapping[str, str]) -> None:
    """Refuse words that no program can be given, whatever way it is started.

    Raises:
        NodeError: naming the input parameter that the word comes from, its size and the remedy.
    """
    variables = [f"{name}={value}" for name, value in env.items()]
    for word in (*argv, *variables):
        if "\0" in word:
            raise NodeError(
                f"{_source(word, parameters)} holds a NUL character, which no program can be given"
            )
        if len(word) * 4 > WORD_LIMIT and (size := len(_bytes(word))) > WORD_LIMIT:
            raise NodeError(f"{_source(word, parameters)} has {size:,} bytes, and {_TOO_MUCH}")
    together = sum(len(_bytes(word)) + 1 + _POINTER for word in (*argv, *variables)) + _GUARDS_OWN
    if together > _TOGETHER:
        names = ", ".join(f"'{name}'" for name in sorted(parameters, key=lambda n: -len(parameters[n]))[:3])
        raise NodeError(
            f"the command line and the environment have {together:,} bytes together, and {_TOGETHER:,} are "
            f"possible; the longest input parameters are {names}: let them travel as files (artifacts)"
        )


def _source(word: str, parameters: Mapping[str, str]) -> str:
    """The longest of the input parameters that the word holds, or its beginning."""
    within = [name for name, value in parameters.items() if value and value in word]
    if within:
        return f"input parameter '{max(within, key=lambda name: len(parameters[name]))}'"
    return f"the word {one_line(word, 40)!r}"


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", errors="surrogateescape")


@dataclass(frozen=True)
class Ended:
    """How a program ended. `code` is a shell's view: 128 + N after signal N."""

    code: int
    signal: int | None
    timed_out: bool
    result: str | None
    note: str = ""
    """More that is known of it, for the message."""

    @property
    def message(self) -> str:
        """Empty after success; else the exit code, the signal behind it, and the note."""
        if self.code == 0:
            return ""
        number = self.signal or (self.code - 128 if self.code in (137, 143) else None)
        name = f" ({signal.Signals(number).name})" if number in set(signal.Signals) else ""
        return f"exit code {self.code}{name}{f': {self.note}' if self.note else ''}"


class Guard(Protocol):
    """The guard of a program as a process: asyncio's own, or one that another process has forked."""

    @property
    def returncode(self) -> int | None:
        """None until it has ended."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """The program's output, where a pipe was asked for."""

    def terminate(self) -> None:
        """Let it stop the program."""

    async def wait(self) -> int:
        """Wait for its end."""


class Guarded:
    """A program that runs under its guard."""

    def __init__(self, process: Guard, status: BinaryIO, name: str) -> None:
        self.process, self._status, self._name = process, status, name

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        out: BinaryIO | int,
        err: BinaryIO,
        pass_fds: tuple[int, ...] = (),
        plan: str = "",
        around: Path | None = None,
    ) -> Guarded:
        """Start `argv` with its guard; standard input is empty. Raises NodeError.

        `plan` is the file of the view that the program gets (`paths.Shown`), if it gets one; `around`
        has the orders around a program in a container.
        """
        status_read, status_write = os.pipe()
        order = [str(os.getpid()), str(status_write), str(GRACE)]
        script = [_GUARD, *order, plan] if around is None else [_AROUND, *order, str(around)]
        guard = [sys.executable, "-I", "-S", *script, *argv]
        status = os.fdopen(status_read, "rb")
        try:
            process = await asyncio.create_subprocess_exec(
                *guard,
                cwd=cwd,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(status_write, *pass_fds),
                start_new_session=True,
            )
        except BaseException as error:
            status.close()
            if isinstance(error, OSError | ValueError):
                raise NodeError(f"cannot start {argv[0]}: {error}") from error
            raise
        finally:
            os.close(status_write)
        return cls(process, status, argv[0])

    def __enter__(self) -> Guarded:
        return self

    def __exit__(self, *_: object) -> None:
        self._status.close()

    async def wait(self, limit: float | None) -> bool:
        """Wait for its end; True if `limit` seconds ran out and it had to be stopped.

        Cancelling stops it first.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self.process.wait()), limit)
            return False
        except (asyncio.TimeoutError, TimeoutError):
            await self.stop()
            return True
        except asyncio.CancelledError:
            await asyncio.shield(self.stop())
            raise

    async def stop(self) -> None:
        """Ask it to end, make it end when the grace is over, and wait for that."""
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()

    def ended(self, timed_out: bool, result: str | None) -> Ended:
        """How it ended. Raises NoProgram if there was none to start, NotMade if what is before it failed."""
        status = self._status.read().decode()
        kind, _, rest = (status.splitlines() or ["signal 9"])[0].partition(" ")
        if kind == "error":
            raise NoProgram(self._name, rest)
        if kind == "unseen":
            raise NodeError(
                f"its declared paths cannot be shown to {self._name} ({rest}); with ARGOSY_NAMESPACES=0 they "
                "are moved instead"
            )

        if kind == "refused":
            raise NotMade(f"exit code {rest}")
        number = int(rest)
        if kind == "signal":
            return Ended(128 + number, number, timed_out, result)
        return Ended(number, None, timed_out, result)


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    capture: bool,
    limit: float | None,
    plan: str = "",
    around: Path | None = None,
) -> Ended:
    """Run `argv` to its end; its output goes to `log`, in the order it was written.

    With `capture`, standard output is also returned, which takes a pipe: only then may lines of the two
    streams that are written within the same moment change places. `limit` is in seconds. Cancelling stops
    the program first. Raises NodeError if it cannot be started, or not in the view of the file system that
    `plan` tells of.
    """
    with log.open("ab", buffering=0) as sink:
        out = asyncio.subprocess.PIPE if capture else sink
        with await Guarded.start(
            argv, cwd=cwd, env=env, out=out, err=sink, plan=plan, around=around
        ) as guarded:
            tail: deque[bytes] = deque()
            reader = asyncio.create_task(_pump(guarded.process.stdout, sink, tail))
            try:
                timed_out = await guarded.wait(limit)
            finally:
                await reader
            return guarded.ended(timed_out, _result(tail) if capture else None)


async def _pump(stream: asyncio.StreamReader | None, sink: BinaryIO, tail: deque[bytes]) -> None:
    size = 0
    lost: OSError | None = None
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        if lost is None:
            try:
                _write_all(sink, chunk)
            except OSError as error:  # a full disk: nobody reads on, and the program would wait for ever
                lost = error
        tail.append(chunk)
        size += len(chunk)
        while size - len(tail[0]) >= RESULT_LIMIT:
            size -= len(tail.popleft())
    if lost is not None:
        raise lost


def _write_all(sink: BinaryIO, data: bytes) -> None:
    while data:
        data = data[sink.write(data) :]


def _result(tail: deque[bytes]) -> str:
    text = b"".join(tail)[-RESULT_LIMIT:].decode("utf-8", errors="replace")
    return text.removesuffix("\n")
