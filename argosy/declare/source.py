"""Where in the user's own code something was said."""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from pathlib import Path
from types import FrameType

from argosy.errors import place_of

_OURS = ("argosy", "couler")
_THEIRS = ("argosy.components", "argosy.pipelines")
# Who calls the program of a pipeline: further down the stack there is nothing of the program's.
_BELOW = "argosy.compose.compiler"


@functools.cache
def _is_users(module: str) -> bool:
    if module.startswith(_THEIRS) or module == "__main__":
        return True
    top = module.partition(".")[0]
    return top not in _OURS and top not in getattr(sys, "stdlib_module_names", ())


def is_user_code(frame: FrameType) -> bool:
    """Whether a frame belongs neither to the SDK, nor to Couler, nor to Python's own library."""
    return _is_users(frame.f_globals.get("__name__", ""))


NOWHERE = "<unknown>"


def call_site() -> str:
    """`file:line` of the nearest caller in the user's code; in an installed library if there is no other."""
    return _site_above(sys._getframe(1))


def beside_caller(path: Path) -> Path:
    """A relative path as the nearest caller outside of the SDK means it: beside its own file, if it is there.

    Else it is as it was: in the current folder.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_user_code(frame):
        frame = frame.f_back
    if path.is_absolute() or frame is None:
        return path
    beside = Path(os.path.normpath(Path(frame.f_code.co_filename).resolve().parent / path))
    if not beside.exists() or (path.exists() and beside.samefile(path)):
        return path
    here = Path.cwd()
    return beside.relative_to(here) if beside.is_relative_to(here) else beside


def site_in(thread: threading.Thread) -> str:
    """`file:line` of the user's code at which another thread is."""
    return _site_above(sys._current_frames().get(thread.ident or 0))


def _site_above(frame: FrameType | None) -> str:
    found = None
    while frame is not None and frame.f_globals.get("__name__") != _BELOW:
        if is_user_code(frame):
            found = found or frame
            if not is_installed(frame):
                found = frame
                break
        frame = frame.f_back
    return place_of(found.f_code.co_filename, found.f_lineno) if found else NOWHERE


def is_installed(frame: FrameType) -> bool:
    """Whether a frame belongs to an installed library."""
    return f"{os.sep}site-packages{os.sep}" in frame.f_code.co_filename


_PLACED = re.compile(r"[^'\"]*\.\w+:\d+: ")


def placed(error: Exception) -> str:
    """The message of an error with its place, if it does not begin with one."""
    return str(error) if _PLACED.match(str(error)) else f"{raised_at(error)}: {error}"


def raised_at(error: BaseException, otherwise: str = NOWHERE) -> str:
    """`file:line` of the last line of the user's code that an error passed through.

    In an installed library if there is no other.
    """
    place, trace = otherwise, error.__traceback__
    own = False
    while trace is not None:
        frame = trace.tb_frame
        if is_user_code(frame) and not (own and is_installed(frame)):
            own = not is_installed(frame)
            place = place_of(frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place


def left_at(end: SystemExit, what: str, otherwise: str = NOWHERE) -> str:
    """The message for a program that ends Python while `what`, whose end says what to write instead."""
    code = "" if end.code is None else repr(end.code)
    return f"{raised_at(end, otherwise)}: sys.exit({code}) ends Python while {what}"
