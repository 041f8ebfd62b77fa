"""What Couler calls a step that the user gave no name: after the function, or the line, that makes it."""

import sys
from pathlib import Path
from types import CodeType
from typing import Any

from couler.core.utils import argo_safe_name

from argosy.declare.source import call_site
from argosy.errors import ComposeError


class Places:
    """Takes the place of Couler's `invocation_location`, once for a composition.

    Couler's own counts on the program being the outermost frame, gives all steps that are made in one
    function one name, and therefore one template, and reads the whole stack's source each time.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[CodeType, int]] = {}

    def __call__(self) -> tuple[str, int]:
        """The name for the step that is being made, and the line where its function was called."""
        _refuse_dropped(sys._getframe(1).f_locals.get("args"))
        maker = sys._getframe(2)  # above this function and the verb that asks
        function, line = maker.f_code.co_name, maker.f_lineno
        if function.startswith("<") and function != "<lambda>":  # the top of a module, or a comprehension
            return f"{_safe(Path(maker.f_code.co_filename).stem)}-{line}", line
        name, place = _safe(function), (maker.f_code, line)
        if self._first.setdefault(name, place) != place:
            name = f"{name}-{line}"
        return name, maker.f_back.f_lineno if maker.f_back else line


def _refuse_dropped(args: Any) -> None:
    """Of arguments that begin with a step Couler takes that step's outputs, and drops the rest."""
    if isinstance(args, list) and len(args) > 1 and isinstance(args[0], list) and args[0]:
        raise ComposeError(
            f"{call_site()}: the arguments of a step of Couler's begin with a whole step, and Couler would "
            "drop the others; name the outputs: args=[step[0], ...]"
        )


def _safe(name: str) -> str:
    safe: str = argo_safe_name(name)
    return safe.strip("-") or "step"
