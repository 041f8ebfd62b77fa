"""Couler's fork prints its workflow when the interpreter ends; nobody here asked for it."""

from __future__ import annotations

import atexit
import sys


def keep_couler_quiet() -> None:
    """Take the print back, if Couler was imported by now."""
    couler = sys.modules.get("couler.argo")
    if couler is not None:
        atexit.unregister(couler._dump_yaml)
