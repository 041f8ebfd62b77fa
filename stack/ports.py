"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Collection, Iterable, Mapping

from argosy.errors import StackError

HOST = "127.0.0.1"

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so that a port
# that was free at the last `up` is likely to be free at the next one. SeaweedFS wants one port pair that
# is 10,000 apart: both halves stay below that range too.
_LOWEST, _HIGHEST = 12_000, 22_000
PAIR_DISTANCE = 10_000
_ATTEMPTS = 500
_POLL = 0.02


def is_free(port: int) -> bool:
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
    while not all(is_free(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(_POLL)


def _usable(port: int, paired: bool) -> bool:
    return is_free(port) and (not paired or is_free(port + PAIR_DISTANCE))


def choose(
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
