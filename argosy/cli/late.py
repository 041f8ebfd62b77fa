"""Modules of the standard library that few commands use, loaded when they are first used.

Python's own asyncio imports `ssl`, its `secrets` imports `hmac`, and both bring OpenSSL: a tenth of a run's
memory. Here such a module stands in `sys.modules` unloaded until something of it is asked for, as with
`importlib.util.LazyLoader`, but also safe where two threads ask at once, which that is from Python 3.13 on.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

NAMES = frozenset({"asyncio.sslproto", "hashlib", "hmac", "secrets", "ssl"})

_LOADING = threading.RLock()
# What the import system asks of every module that it meets; it means no use.
_UNASKED = frozenset(
    {"__class__", "__spec__", "__name__", "__loader__", "__package__", "__file__", "__path__"}
)


class Finder:
    """Finds the modules of `NAMES` like Python itself, and puts off their loading."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module, to be loaded late; None of all others, and where OpenSSL is not there."""
        if name not in NAMES or importlib.util.find_spec("_ssl") is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> None:
        """Python's own kind."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""
        module.__class__ = _Late


class _Late(ModuleType):
    """A module that becomes what it is when something of it is asked for, or changed."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _UNASKED:
            _load(self)
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _UNASKED:
            _load(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _load(self)
        ModuleType.__delattr__(self, name)


def _load(module: ModuleType) -> None:
    with _LOADING:
        spec = module.__spec__
        if type(module) is not _Late or spec is None or not isinstance(spec.loader, _Loader):
            return  # loaded, or just being loaded by this thread
        late, spec.loader = spec.loader, spec.loader.loader
        module.__loader__ = spec.loader
        try:
            spec.loader.exec_module(module)  # type: ignore[union-attr]
        except BaseException:
            spec.loader = module.__loader__ = late  # who asks next is told the same
            raise
        module.__class__ = ModuleType


def install() -> None:
    """Load the modules of `NAMES` late from now on, those that are not there."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
