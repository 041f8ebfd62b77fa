"""Takes the place of a module that composes, in a container where only a step runs."""

from typing import Any

from argosy.step.absent import Absent


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Absent(f"{__name__}.{name}")
