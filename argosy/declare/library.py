"""A package of components: `from mycompany.components.training import promote` gives the component.

Each component lives in a module of its own name.  Importing them all in the package's `__init__` would
load them twice when one runs as `python -m`; a plain submodule import would leave the *module* under the
component's name.  A component library imports on first use and always answers with the component.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from argosy.declare.component import Component


class ComponentLibrary(ModuleType):
    """A package whose attributes are the components of its modules."""

    def __getattr__(self, name: str) -> Any:
        if name not in getattr(self, "__all__", ()):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{self.__name__}.{name}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds each submodule to its package: bind its component instead.
        if isinstance(value, ModuleType):
            inner = vars(value).get(name)
            value = inner if isinstance(inner, Component) else value
        super().__setattr__(name, value)


def component_library(package: str) -> None:
    """Make a package, which lists its components in `__all__`, a library of them."""
    sys.modules[package].__class__ = ComponentLibrary
