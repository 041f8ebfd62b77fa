"""Couler without its cluster client.

Couler imports the Kubernetes client, which takes longer than Couler itself and everything of ours, and
which composing never uses.  Here Couler gets stand-ins that become the real modules when they are touched.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

from argosy.compose.upstream import complete_couler

_CLIENT = "kubernetes"
_PARTS = ("client", "config")


class Later(ModuleType):
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def import_couler() -> None:
    """Import Couler, if nobody has, and add what it lacks; `import kubernetes` stays what it was."""
    if not ("couler.argo" in sys.modules or _CLIENT in sys.modules):
        _import_quickly()
    complete_couler()


def _import_quickly() -> None:
    package = ModuleType(_CLIENT)
    for part in _PARTS:
        setattr(package, part, Later(f"{_CLIENT}.{part}"))
    sys.modules[_CLIENT] = package
    try:
        importlib.import_module("couler.argo")
    finally:
        del sys.modules[_CLIENT]
