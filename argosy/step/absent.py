"""Stand-ins for what a step's container has no use for: composing, compiling, reading other components.

A user's module declares its steps and composes its pipelines in one file.  In the container only the step
runs; the rest of the file has to be imported, not to work.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, NoReturn  # noqa: UP035 - Python 3.9

from argosy.step.errors import StepError

_running: list[str] = []
_loading: list[None] = []


@contextmanager
def loading() -> Iterator[None]:
    """Inside, a module is imported for its steps: what it composes at its top is composed elsewhere."""
    _loading.append(None)
    try:
        yield
    finally:
        _loading.pop()


def is_loading() -> bool:
    """Whether a module is imported for its steps now."""
    return bool(_loading)


def step_begins(name: str) -> None:
    """From now on a stand-in that is used says so instead of standing still."""
    _running.append(name)


class Absent:
    """Something that is not in the container.

    While a module is imported it may be called and taken apart: what comes out is a stand-in again.  Once
    the step runs, that is an error.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __repr__(self) -> str:
        return f"<{self._name}, which is not in this container>"

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self._part("()")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._part(f".{name}")

    def __getitem__(self, key: Any) -> Any:
        return self._part(f"[{key!r}]")

    def __iter__(self) -> NoReturn:
        raise StepError(f"{self._name} is not in this container, where only a step runs")

    __bool__ = __iter__  # a condition, too, would be decided by nothing

    def _part(self, suffix: str) -> Any:
        if _running:
            raise StepError(f"{_running[-1]}: {self._name} is not in this container, where only a step runs")
        return Absent(self._name + suffix)
