"""The answer to `breakpoint()` in a step of a run: nobody sits at its terminal."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

from argosy.errors import StepError, UsageError
from argosy.local.journal import read_state
from argosy.step.program import TERMINATION_LOG


def refuse(*_: Any, **__: Any) -> NoReturn:
    """Fail at once, with the command that runs this step in a terminal.

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
