"""Couler's fork prints its workflow when the interpreter ends; nobody here asked for it."""

from __future__ import annotations

import atexit
import sys
from types import TracebackType


def keep_couler_quiet() -> None:
    """Take the print back, if Couler was imported by now."""
    couler = sys.modules.get("couler.argo")
    if couler is not None:
        atexit.unregister(couler._dump_yaml)


def keep_errors_last() -> None:
    """From now on an error that ends the program is the last that it says: Couler prints nothing behind it.

    A module that is run as a step may fail at its imports, before any of its components can take the print
    back. Whoever shows errors otherwise (a debugger, a notebook) goes on doing so.
    """
    before = sys.excepthook

    def quiet(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        keep_couler_quiet()
        before(kind, error, trace)

    sys.excepthook = quiet
