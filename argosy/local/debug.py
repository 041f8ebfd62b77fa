"""A step's program on the terminal, under pdb, stopped at the first line of its own function."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from argosy.errors import UsageError
from argosy.local.process import Ended


async def run_on_terminal(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Ended:
    """Run `argv` to its end with this process's own terminal; a Python module under pdb."""
    settings = {key: value for key, value in env.items() if key != "PYTHONBREAKPOINT"}
    command = debugged(argv, settings.get("PYTHONPATH", ""))

    def run() -> int:
        return subprocess.run(command, cwd=cwd, env=settings, check=False).returncode

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is pdb's
    code = await asyncio.to_thread(run)
    return Ended(128 - code if code < 0 else code, -code if code < 0 else None, False, None)


def debugged(argv: Sequence[str], path: str) -> list[str]:
    """The command with pdb in it: `python -m MODULE` and `python FILE`; others raise UsageError."""
    if argv[0] != sys.executable or len(argv) < 2:
        raise UsageError(f"--debug opens Python's debugger; this step runs {argv[0]}")
    if argv[1] != "-m":
        return [argv[0], "-m", "pdb", *argv[1:]]
    module, _, function = argv[2], "", argv[2].rpartition(".")[2]
    if module == "argosy.step" and len(argv) > 3:
        module, _, function = argv[3].partition(":")
    place = first_line(module, function, path)
    stops = ["-c", f"break {place}", "-c", "continue"] if place else []
    return [argv[0], "-m", "pdb", *stops, *argv[1:]]


def first_line(module: str, function: str, path: str) -> str:
    """`FILE:LINE` of the first statement of a function, without importing its module; empty if unknown."""
    before = list(sys.path)
    sys.path[:0] = [folder for folder in path.split(":") if folder]
    try:
        spec = importlib.util.find_spec(module)
        file = Path(spec.origin or "") if spec else Path()
        tree = ast.parse(file.read_bytes())
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    finally:
        sys.path[:] = before
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            return f"{file}:{body[0].lineno}"
    return ""
