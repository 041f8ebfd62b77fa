"""Couler without its cluster client.

Couler imports the Kubernetes client, which takes longer than Couler itself and everything of ours, and
which composing never uses.  Here Couler gets stand-ins that become the real modules when they are touched.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_CLIENT = "kubernetes"
_PARTS = ("client", "config")


class Later(ModuleType):
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def import_couler() -> None:
    """Import Couler, if nobody has; `import kubernetes` is for everybody else what it was."""
    if "couler.argo" in sys.modules or _CLIENT in sys.modules:
        return
    package = ModuleType(_CLIENT)
    for part in _PARTS:
        setattr(package, part, Later(f"{_CLIENT}.{part}"))
    sys.modules[_CLIENT] = package
    try:
        importlib.import_module("couler.argo")
    finally:
        del sys.modules[_CLIENT]
