"""Server processes: start one that outlives us, recognise it later, stop it with all its children.

And the free TCP ports on loopback that they listen on.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from argosy.errors import StackError

# psutil derives the creation time from the boot time, which moves a little when the clock is corrected.
_CLOCK_SLACK = 2.0
_POLL = 0.02
_KILL_SECONDS = 5.0
HOST = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so that a port
# that was free at the last `up` is likely to be free at the next one. SeaweedFS wants one port pair that
# is 10,000 apart: both halves stay below that range too.
_LOWEST, _HIGHEST = 12_000, 22_000
PAIR_DISTANCE = 10_000
_ATTEMPTS = 500


@dataclass(frozen=True)
class ProcessId:
    """A process for good: its number, and when it was created (seconds since the epoch).

    The number alone is not enough, since the kernel gives it to somebody else once the process is gone.
    """

    pid: int
    created: float

    def find(self) -> psutil.Process | None:
        """Return the running process, or None if it has ended (its number may belong to another by now)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) <= _CLOCK_SLACK
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that a Ctrl-C in our terminal does not reach it.

    Its output goes to `log`; what was there is kept once, as `NAME.previous.log`. It runs in `folder`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def identify(pid: int) -> ProcessId:
    """Return the identity of a process that was just started; raises psutil.NoSuchProcess if it is gone."""
    return ProcessId(pid, psutil.Process(pid).create_time())


def stop(leader: ProcessId, patience: float) -> bool:
    """Stop a server and its children; tell whether anything was still running.

    The leader gets SIGTERM and `patience` seconds to finish; whatever is left of its process group then
    gets SIGKILL. Safe to call for a process that ended long ago.
    """
    running = leader.find() is not None
    if running:
        _signal(leader.pid, signal.SIGTERM)
        wait_gone(leader, patience)
    return bool(_kill_group(leader)) or running


def wait_gone(leader: ProcessId, seconds: float) -> bool:
    """Wait until a process has ended, for that many seconds at most; tell whether it has.

    One that ended but was not yet collected by its parent counts as gone: nothing of it runs or listens.
    """
    deadline = time.monotonic() + seconds
    while leader.find() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _kill_group(leader: ProcessId) -> list[ProcessId]:
    """Kill what is left of a process group; return what was killed."""
    members = [
        ProcessId(one.pid, one.create_time()) for one in psutil.process_iter() if _belongs(one, leader)
    ]
    for member in members:
        _signal(member.pid, signal.SIGKILL)
    for member in members:
        wait_gone(member, _KILL_SECONDS)
    return members


def _belongs(process: psutil.Process, leader: ProcessId) -> bool:
    """Tell whether a process is one of the leader's group and not of a newer group of the same number."""
    try:
        if os.getpgid(process.pid) != leader.pid or process.status() == psutil.STATUS_ZOMBIE:
            return False
        # A number is not given out again while a group of that number lives. So a leader of another age
        # means that the old group is gone, and that this one is somebody else's.
        leading = psutil.Process(leader.pid) if psutil.pid_exists(leader.pid) else None
        mine = leading is None or abs(leading.create_time() - leader.created) <= _CLOCK_SLACK
        return mine and process.create_time() >= leader.created - _CLOCK_SLACK
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log that say something, or a remark that there are none."""
    try:
        text = log.read_bytes()[-16_384:].decode(errors="replace")
    except FileNotFoundError:
        text = ""
    said = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(said[-lines:]) or "(it wrote nothing)"


def wait_exit(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return a child's exit code, or None if it has not ended after that many seconds."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL)
    return process.returncode


def is_free_port(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A server just stopped leaves connections in TIME_WAIT; they do not keep a new one from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def let_go(ports: Iterable[int], within: float = 2.0) -> None:
    """Wait, `within` seconds at most, until none of the ports of a killed server is bound any more.

    Its process counts as ended a moment before the kernel has closed its sockets.
    """
    deadline = time.monotonic() + within
    while not all(is_free_port(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(_POLL)


def _usable(port: int, paired: bool) -> bool:
    return is_free_port(port) and (not paired or is_free_port(port + PAIR_DISTANCE))


def choose_ports(
    names: Collection[str],
    before: Mapping[str, int],
    taken: Collection[int] = (),
    paired: Collection[str] = (),
) -> dict[str, int]:
    """Choose a port for each name: the one it had before if that is still free, else a random free one.

    Args:
        names: what needs a port.
        before: the ports of the last time, by name.
        taken: ports that are free now but promised to somebody else.
        paired: names whose port + 10,000 must be free as well.

    Raises:
        StackError: no free port was found.
    """
    chosen: dict[str, int] = {}
    for name in names:
        candidates = [before[name]] if name in before else []
        candidates += [random.randrange(_LOWEST, _HIGHEST) for _ in range(_ATTEMPTS)]
        for port in candidates:
            if port not in taken and port not in chosen.values() and _usable(port, name in paired):
                chosen[name] = port
                break
        else:
            raise StackError(
                f"no free port for '{name}' between {_LOWEST} and {_HIGHEST} on {HOST}; stop some first"
            )
    return chosen
