"""Breakpoints of a step: under the debugger on the terminal of whoever runs it, refused without one."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from argosy.errors import StepError, UsageError
from argosy.local.process import Ended
from argosy.local.state import read_state
from argosy.step.program import TERMINATION_LOG


async def run_on_terminal(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run `argv` to its end with this process's own terminal; a Python module under pdb."""
    from argosy.local.debugger import QUIT

    settings = {key: value for key, value in env.items() if key != "PYTHONBREAKPOINT"}
    command = debugged(argv, cwd, settings.get("PYTHONPATH", ""))

    def run() -> int:
        return subprocess.run(command, cwd=cwd, env=settings, check=False).returncode

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is pdb's
    with _terminal_as_it_was():
        code = await asyncio.to_thread(run)
    words = Path(settings[TERMINATION_LOG])
    if code == QUIT and not words.read_bytes():
        words.write_text("quit in the debugger")
    return Ended(128 - code if code < 0 else code, -code if code < 0 else None, False, None)


def refuse(*_: Any, **__: Any) -> NoReturn:
    """The answer to `breakpoint()` where nobody sits at the terminal: fail, with the command that has one.

    Raises:
        StepError: always.
    """
    frame = sys._getframe(1)
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    command = _rerun() or _by_hand()
    raise StepError(f"{place}: breakpoint(): a run has no terminal; debug the step with: {command}")


def _rerun() -> str:
    """`argosy rerun` of this step; empty where nobody kept what was asked for."""
    folder = Path(os.environ.get(TERMINATION_LOG, "")).parent.resolve()
    run_dir = folder.parent.parent
    if not (run_dir / "request.json").exists():
        return ""
    try:
        nodes = read_state(run_dir)["nodes"]
    except UsageError:
        return ""
    log = f"steps/{folder.name}/main.log"
    step = next((str(node["name"]) for node in nodes if node["log"] == log), "")
    state = run_dir.parent.parent
    place = [] if state.name == ".argosy" else ["--state-dir", str(state)]
    return shlex.join(["argosy", "rerun", run_dir.name, "--step", step, "--debug", *place]) if step else ""


def _by_hand() -> str:
    """The step's program as it was started, in its folder."""
    words = [sys.executable, *sys.orig_argv[1:]]
    path = os.pathsep.join(dict.fromkeys(os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    settings = f"PYTHONPATH={shlex.quote(path)} " if path else ""
    return f"cd {shlex.quote(str(Path.cwd()))} && {settings}{shlex.join(words)}"


@contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """Give the terminal back as it was, whatever a program that was killed at a prompt made of it."""
    try:
        before = termios.tcgetattr(sys.stdin.fileno())
    except (termios.error, ValueError, OSError):
        yield
        return
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


def debugged(argv: Sequence[str], cwd: Path, path: str) -> list[str]:
    """The command with pdb in it: `python -m MODULE` and `python FILE`; others raise UsageError."""
    if argv[0] != sys.executable or len(argv) < 2:
        raise UsageError(f"--debug opens Python's debugger; this step runs {argv[0]}")
    module, function = "", ""
    if argv[1] == "-m":
        module, function = argv[2], argv[2].rpartition(".")[2]
        if module == "argosy.step" and len(argv) > 3:
            module, _, function = argv[3].partition(":")
    file = _file_of(module, path) if module else cwd / argv[1]
    script = Path(__file__).with_name("debugger.py")
    return [argv[0], str(script), first_line(file, function), *argv[1:]]


def _file_of(module: str, path: str) -> Path:
    """The file of a module, which is not imported; one that is not there if nobody knows."""
    before = list(sys.path)
    sys.path[:0] = [folder for folder in path.split(":") if folder]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return Path()
    finally:
        sys.path[:] = before
    return Path(spec.origin or "") if spec else Path()


def first_line(file: Path, function: str) -> str:
    """`FILE:LINE` of the first statement of a function, or of the file; empty if unknown."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            body = node.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return f"{file}:{body[0].lineno}" if body else ""
