"""Becomes steps of the SDK's own kind by forking: `python -m argosy.step ...`. A script of its own.

    python forks.py CONTROL_FD GRACE_SECONDS [ahead [PACKAGE ...]]

It imports what every such step imports in any case, the SDK, and then waits for orders.  An order is one byte
with descriptors: a file of JSON, `{"module": ..., "arguments": [...], "cwd": ..., "env": {...}}`, the status
that the guard (guard.py) writes to, and where output goes.  A fourth is the control of a process that waits
for its turn (standby.py).  The answer is the guard's process id and a line's end.  From there on the child is
what a plain start would have made, 0.1 s of imports sooner: nothing that it took over depends on the folder,
or on the variables in which orders may differ (standbys.py says which).  It ends as soon as CONTROL_FD is
closed, and without an answer if the imports failed or wrote something.

With `ahead` it also imports what the modules of its orders will import in any case, once for all of them: the
steps of a product share most of it, and each would need half a second.  Only packages are imported so that
are known to be the same in every process that forks afterwards: the SDK's own (`SHARED`), and each PACKAGE,
of which the product says so (stacks.py); a step imports the rest itself.
Where more than imports happened (a thread, a line of output, a folder for temporary files), the answer to
this and all later orders is `no`, and nothing is forked.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import socket
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

SHARED = frozenset({"argosy", "docstring_parser"})
"""The packages of the SDK's own: their import starts nothing, and reads nothing in which orders differ."""

_EACH_ITS_OWN = frozenset({"numpy.random"})
"""Modules that must differ from process to process: this one has numpy's seed."""


def main(control: int, grace: float, ahead: Collection[str] | None) -> None:
    """Wait for orders; in the process of each step, run it. `ahead` are the packages to import, if any."""
    guard, standby = _beside("guard"), _beside("standby")
    try:
        importlib.import_module("argosy.step.program")
    except BaseException:
        os._exit(0)  # the steps themselves say it, in their own logs
    gc.freeze()
    standby.check_silence()
    imports = None if ahead is None else Ahead(standby, ahead)
    order, turn = _order(socket.socket(fileno=control), guard, grace, imports)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    if imports is not None:
        os.environ.update(imports.set)
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


class Ahead:
    """The imports that this process makes for the steps to come."""

    def __init__(self, standby: Any, packages: Collection[str]) -> None:
        self._standby, self._began = standby, dict(os.environ)
        self._shared = SHARED.union(packages)
        self._known: set[str] = set()
        self.fit = True
        """Whether a process that is forked now is what a plain start makes."""
        self.set: dict[str, str] = {}
        """The variables that imports have set in the environment."""

    def take(self, module: str, cwd: str) -> bool:
        """Import what `module` will, which starts in the empty folder `cwd`; whether it may be forked."""
        if self.fit and module not in self._known:
            self._known.add(module)
            before = set(sys.modules)
            if not getattr(sys.flags, "safe_path", False):
                sys.path[0] = cwd
            gc.disable()  # imports make objects that stay, and hardly any garbage
            try:
                self.fit = self._imported(module) and self._is_as_before(before)
            except Exception:  # the step itself says it, in its own log
                self.fit = False
            gc.enable()
            gc.freeze()
        return self.fit

    def _imported(self, module: str) -> bool:
        """Import what may be shared; whether every import was either made or stopped as a whole."""
        fence = _Fence(self._shared | {module.partition(".")[0]})
        sys.meta_path.insert(0, fence)  # type: ignore[arg-type]
        stopped = 0
        try:
            _, codes, names = self._standby.certain_code(module)  # imports the packages that it is in
            for code in codes:
                try:
                    exec(code, names)
                except _Beyond:
                    stopped += 1
        except _Beyond:
            return False
        finally:
            sys.meta_path.remove(fence)  # type: ignore[arg-type]
        return fence.stopped == stopped  # else somebody went on without a package that is there

    def _is_as_before(self, modules: set[str]) -> bool:
        """Whether nothing has happened but whole imports, and variables that were set."""
        sys.stdout.flush()
        sys.stderr.flush()
        new = set(sys.modules) - modules
        whole = all(name.rpartition(".")[0] in ("", *sys.modules) for name in new)
        temporary = getattr(sys.modules.get("tempfile"), "tempdir", None)
        self.set = {name: value for name, value in os.environ.items() if self._began.get(name) != value}
        kept = self._began.keys() <= os.environ.keys()
        return whole and kept and temporary is None and not os.fstat(1).st_size and _is_alone()


def _is_alone() -> bool:
    """Whether this process has one thread after a fork: those of OpenBLAS end with it, and begin anew."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return len(list(Path("/proc/self/task").iterdir())) == 1


class _Beyond(BaseException):
    """A module is not to be imported for others."""


class _Fence:
    """Stops imports of what is there and not shared, before they have begun."""

    def __init__(self, shared: Collection[str]) -> None:
        self._shared, self.stopped = shared, 0

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        top = name.partition(".")[0]
        if name not in _EACH_ITS_OWN and (top in self._shared or top in sys.stdlib_module_names):
            return
        others = (finder for finder in sys.meta_path if finder is not self)
        if any(finder.find_spec(name, path, target) for finder in others):
            self.stopped += 1
            raise _Beyond(name)


def _order(control: socket.socket, guard: Any, grace: float, ahead: Ahead | None) -> tuple[Any, int | None]:
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
        with open(descriptors[0], "rb") as file:  # noqa: PTH123 - a descriptor
            order = json.load(file)
        answer = "no"
        if ahead is None or ahead.take(order["module"], order["cwd"]):
            child = os.fork()
            if child == 0:
                control.close()
                return order, _begun(descriptors[1:], guard, server, grace)
            answer = str(child)
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        control.sendall(f"{answer}\n".encode())


def _begun(descriptors: list[int], guard: Any, server: int, grace: float) -> int | None:
    """In a new process: become a guard, and return in its child the control of its turn, if it has one."""
    status, output, *turn = descriptors
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    guard.watch(server, status, grace)
    os.close(status)
    return next(iter(turn), None)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[4:] if sys.argv[3:] else None)
