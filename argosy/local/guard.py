"""Runs one step's program and leaves nothing of it behind. A script of its own; standard library only.

    python -I -S guard.py PARENT_PID STATUS_FD GRACE_SECONDS PLAN COMMAND...

The program gets a process group of its own. On SIGTERM the group is asked to stop, and killed when the
grace is over. If the runner dies, however it dies, the kernel tells this process, which kills the group at
once. Orphans of the program, daemons in sessions of their own included, become children of this process (it
is a subreaper) and are killed when the program ends, as a container's are. How the program ended is written
to STATUS_FD: `exit N`, `signal N` or `error TEXT`. (`around` guards a program in a container.)

PLAN, if it is not empty, is the file of a view of the file system that the program gets (`paths.Shown`);
where the kernel refuses that, nothing is started, and `unseen TEXT` is written.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
MS_BIND, MS_REC, MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
MNT_DETACH = 2


def main(parent: int, status: int, grace: float, plan: str, command: list[str]) -> None:
    """Run `command` to its end and report it on `status`."""
    watch(parent, status, grace)
    _become(command, status, plan)


def watch(parent: int, status: int, grace: float) -> None:
    """Fork, and return in the child alone; this process waits for its end, reports it on `status` and ends.

    The child leads a process group of its own.
    """
    adopt(parent)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        orphaned = os.getppid() != parent
        _signal_group(child, signal.SIGKILL if orphaned else signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, max(grace, 0.001))

    signal.signal(signal.SIGALRM, lambda _signal, _frame: _signal_group(child, signal.SIGKILL))
    signal.signal(signal.SIGTERM, stop)
    if os.getppid() != parent:
        _signal_group(child, signal.SIGKILL)
    _, wait_status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    _signal_group(child, signal.SIGKILL)
    kill_orphans()
    ended = (
        f"signal {os.WTERMSIG(wait_status)}"
        if os.WIFSIGNALED(wait_status)
        else f"exit {os.WEXITSTATUS(wait_status)}"
    )
    with suppress(BrokenPipeError):
        os.write(status, ended.encode() + b"\n")
    os._exit(0)


def adopt(parent: int) -> None:
    """Have the kernel tell this process of the death of `parent`, and give it the orphans of its children."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # Linux
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def enter(plan: str) -> None:
    """Give this process, which has one thread, the view that `plan` tells of.

    The file has words with NUL between them: the new root, the folder to start in, then three for each thing
    to do: its kind, a source, a target. `bind` mounts the source at the target, `only` without the mounts in
    it; `folder` and `file` make the target before (a folder without a source stays empty); `link` makes a
    link to the source; `tmpfs` mounts an empty file system in memory. A source that has vanished by now is
    left out. Raises OSError.
    """
    with open(plan, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
        root, cwd, *orders = file.read().split(b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    _unshare(libc)
    _checked(libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None), b"/")  # nothing is seen outside
    for kind, source, target in zip(orders[::3], orders[1::3], orders[2::3], strict=True):
        if kind == b"link":
            os.symlink(source, target)  # noqa: PTH211 - pathlib is slow to import
        elif kind == b"tmpfs":
            _checked(libc.mount(b"tmpfs", target, b"tmpfs", 0, b"mode=0755"), target)
        elif not source or os.path.lexists(source):
            if kind == b"folder":
                os.mkdir(target)  # noqa: PTH102 - pathlib is slow to import
            elif kind == b"file":
                os.close(os.open(target, os.O_CREAT, 0o600))
            if source:
                flags = MS_BIND if kind == b"only" else MS_BIND | MS_REC
                _checked(libc.mount(source, target, None, flags, None), source)
    os.chdir(root)
    _checked(libc.pivot_root(b".", b"."), root)
    _checked(libc.umount2(b".", MNT_DETACH), b"/")
    os.chdir(cwd)


def _unshare(libc: ctypes.CDLL) -> None:
    """A mount namespace of its own; unless root, in a user namespace in which this process is who it was."""
    if os.geteuid() == 0:  # root in a user namespace would lose its power over the files of others
        _checked(libc.unshare(CLONE_NEWNS), b"unshare")
        return
    maps = {"setgroups": "deny", "uid_map": f"{os.geteuid()} {os.geteuid()} 1"}
    maps["gid_map"] = f"{os.getegid()} {os.getegid()} 1"
    _checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), b"unshare")
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib is slow to import
            file.write(text)


def _checked(result: int, what: bytes) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(what))


def _become(command: list[str], status: int, plan: str) -> None:
    os.set_inheritable(status, False)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program inherits that
        signal.signal(number, signal.SIG_DFL)
    try:
        if plan:
            enter(plan)
    except OSError as error:
        os.write(status, f"unseen {error.strerror}: {error.filename}\n".encode())
        os._exit(127)
    try:
        os.execvpe(command[0], command, os.environ)
    except OSError as error:
        os.write(status, f"error {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _signal_group(child: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)


def kill_orphans() -> None:
    """End what is left below this process."""
    while children := _children():
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - pathlib is slow to import
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
