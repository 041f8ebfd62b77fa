"""Which of Couler's verbs a call stands in.

Couler keeps this in module globals that leak after an exception and forget the outer `when` of a
nested one.  But every verb is an ordinary function that calls the user's function, so the truth is on
the call stack: the frames of `couler.when`, `couler.dag`, ... with the arguments that they were given.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from argosy.compose.conditions import Condition, read_condition
from argosy.compose.ending import EVERY_END, at_every_end

_SYNTAX = "couler.core.syntax."
_VERBS = {
    "conditional": ("when",),
    "dag": ("dag", "set_dependencies"),
    "concurrent": ("concurrent",),
    "exit_handler": ("set_exit_handler",),
}


def compose_body(body: Callable[..., Any], *items: Any) -> Any:
    """Run the body of a loop; what stands around the loop does not stand around what is in it."""
    return body(*items)


def _verb_codes() -> dict[CodeType, str]:
    codes = {compose_body.__code__: "body", at_every_end.__code__: "every_end"}
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
    """The verbs around a call, as far as the body of a loop that it stands in.

    Attributes:
        conditions: of the `when`s, outermost first.
        dependencies: what the innermost `set_dependencies` was given: names, or an expression.
        chained: inside `dag`, where each call comes after the one before it in its list.
        exit_status: inside `set_exit_handler`, the workflow's status that it waits for, or EVERY_END.
        forks: the frames of `concurrent`, outermost first.
    """

    conditions: tuple[Condition, ...] = ()
    dependencies: list[Any] | str | None = None
    chained: bool = False
    exit_status: str | None = None
    forks: list[FrameType] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)


def _frames(frame: FrameType | None) -> Iterator[tuple[str, FrameType]]:
    while frame is not None:
        verb = _CODES.get(frame.f_code)
        if verb == "body":
            return
        if verb:
            yield verb, frame
        frame = frame.f_back


def read_surroundings(start: FrameType | None = None) -> Surroundings:
    """The verbs around the caller, or around the frame `start`, from the call stack."""
    found = Surroundings()
    conditions = []
    for verb, frame in _frames(start or sys._getframe(1)):
        found.verbs.append(verb)
        if verb == "when":
            conditions.append(read_condition(frame.f_locals["condition"]))
        elif verb == "set_dependencies" and found.dependencies is None:
            found.dependencies = frame.f_locals["dependencies"]
        elif verb == "dag":
            found.chained = "set_dependencies" not in found.verbs
        elif verb == "every_end":
            found.exit_status = EVERY_END
        elif verb == "set_exit_handler" and found.exit_status is None:
            found.exit_status = frame.f_locals["status"].value
        elif verb == "concurrent":
            found.forks.insert(0, frame)
    found.conditions = tuple(reversed(conditions))
    return found
