"""Becomes steps of the SDK's own kind by forking: `python -m argosy.step ...`. A script of its own.

    python forks.py CONTROL_FD GRACE_SECONDS

It imports what every such step imports in any case, the SDK, and then waits for orders.  An order is one byte
with descriptors: a file of JSON, `{"module": ..., "arguments": [...], "cwd": ..., "env": {...}}`, the status
that the guard (guard.py) writes to, and where output goes.  A fourth is the control of a process that waits
for its turn (standby.py).  The answer is the guard's process id and a line's end.  From there on the child is
what a plain start would have made, 0.1 s of imports sooner: nothing that it took over depends on the folder,
or on the variables in which orders may differ (standbys.py says which).  It ends as soon as CONTROL_FD is
closed, and without an answer if the imports failed or wrote something.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def main(control: int, grace: float) -> None:
    """Wait for orders; in the process of each step, run it."""
    guard, standby = _beside("guard"), _beside("standby")
    try:
        importlib.import_module("argosy.step.program")
    except BaseException:
        os._exit(0)  # the steps themselves say it, in their own logs
    gc.freeze()
    standby.check_silence()
    order, turn = _order(socket.socket(fileno=control), guard, grace)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = order["cwd"]
    importlib.invalidate_caches()  # modules may have been written since this process looked
    if turn is not None:
        standby.main(turn, order["module"])
    else:
        standby.run(order["module"], order["arguments"])


def _beside(name: str) -> Any:
    """A script of this folder, as a module that no step sees."""
    spec = importlib.util.spec_from_file_location(f"_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _order(control: socket.socket, guard: Any, grace: float) -> tuple[Any, int | None]:
    """Fork for each order, and return it in the step's process; this one ends with the last."""
    server = os.getpid()
    while True:
        asked, descriptors, *_ = socket.recv_fds(control, 1, 4)
        if not asked:
            os._exit(0)
        # Only now: until the runner has opened the process that it was told of last, that has to be there.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        child = os.fork()
        if child == 0:
            control.close()
            return _begun(descriptors, guard, server, grace)
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(f"{child}\n".encode())


def _begun(descriptors: list[int], guard: Any, server: int, grace: float) -> tuple[Any, int | None]:
    """In a new process: become a guard, and return in its child the order that it has to carry out."""
    order, status, output, *turn = descriptors
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    guard.watch(server, status, grace)
    os.close(status)
    with open(order, "rb") as file:  # noqa: PTH123 - a descriptor
        return json.load(file), next(iter(turn), None)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
