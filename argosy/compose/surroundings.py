"""Which of Couler's verbs a call stands in.

Couler keeps this in module globals that leak after an exception and forget the outer `when` of a
nested one.  But every verb is an ordinary function that calls the user's function, so the truth is on
the call stack: the frames of `couler.when`, `couler.dag`, ... with the arguments that they were given.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from argosy.compose.conditions import Condition, read_condition

_SYNTAX = "couler.core.syntax."
_VERBS = {
    "conditional": ("when",),
    "dag": ("dag", "set_dependencies"),
    "concurrent": ("concurrent",),
    "exit_handler": ("set_exit_handler",),
    "loop": ("map", "map_"),
    "recursion": ("exec_while",),
}


def _verb_codes() -> dict[CodeType, str]:
    codes = {}
    for module_name, names in _VERBS.items():
        module = importlib.import_module(_SYNTAX + module_name)
        for name in names:
            verb = vars(module).get(name)
            if verb is not None:
                codes[verb.__code__] = name
    return codes


_CODES = _verb_codes()


@dataclass
class Surroundings:
    """The verbs around a call.

    Attributes:
        conditions: of the `when`s, outermost first.
        dependencies: what the innermost `set_dependencies` was given: names, or an expression.
        chained: inside `dag`, where each call comes after the one before it in its list.
        exit_status: inside `set_exit_handler`, the workflow's status that it waits for.
        unsupported: a verb that cannot hold a component.
    """

    conditions: tuple[Condition, ...] = ()
    dependencies: list[Any] | str | None = None
    chained: bool = False
    exit_status: str | None = None
    unsupported: str | None = None
    verbs: list[str] = field(default_factory=list)


def _frames() -> Iterator[tuple[str, FrameType]]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        verb = _CODES.get(frame.f_code)
        if verb:
            yield verb, frame
        frame = frame.f_back


def read_surroundings() -> Surroundings:
    """The verbs around the caller, from its call stack."""
    found = Surroundings()
    conditions = []
    for verb, frame in _frames():
        found.verbs.append(verb)
        if verb == "when":
            conditions.append(read_condition(frame.f_locals["condition"]))
        elif verb == "set_dependencies" and found.dependencies is None:
            found.dependencies = frame.f_locals["dependencies"]
        elif verb == "dag":
            found.chained = "set_dependencies" not in found.verbs
        elif verb == "set_exit_handler":
            found.exit_status = frame.f_locals["status"].value
        elif verb in ("map", "map_", "exec_while"):
            found.unsupported = f"couler.{verb}"
    found.conditions = tuple(reversed(conditions))
    return found
