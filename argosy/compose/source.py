"""Where in the user's own code something was said."""

import os
import sys
from types import FrameType

_OURS = ("argosy", "couler")
_THEIRS = ("argosy.components", "argosy.pipelines")


def _is_user_code(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    if name.startswith(_THEIRS):
        return True
    return name.partition(".")[0] not in _OURS


def call_site() -> str:
    """`file:line` of the nearest caller outside of the SDK and of Couler."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_user_code(frame):
        frame = frame.f_back
    if frame is None:
        return "<unknown>"
    file, here = frame.f_code.co_filename, os.getcwd() + os.sep  # noqa: PTH109 - on every call, where pathlib is slow
    return f"{file.removeprefix(here)}:{frame.f_lineno}"
