"""What Couler calls a step that the user gave no name: after the function, or the line, that makes it."""

import sys
from pathlib import Path
from types import CodeType

from couler.core.utils import argo_safe_name


class Places:
    """Takes the place of Couler's `invocation_location`, once for a composition.

    Couler's own counts on the program being the outermost frame, gives all steps that are made in one
    function one name, and therefore one template, and reads the whole stack's source each time.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[CodeType, int]] = {}

    def __call__(self) -> tuple[str, int]:
        """The name for the step that is being made, and the line where its function was called."""
        maker = sys._getframe(2)  # above this function and the verb that asks
        function, line = maker.f_code.co_name, maker.f_lineno
        if function.startswith("<") and function != "<lambda>":  # the top of a module, or a comprehension
            return f"{_safe(Path(maker.f_code.co_filename).stem)}-{line}", line
        name, place = _safe(function), (maker.f_code, line)
        if self._first.setdefault(name, place) != place:
            name = f"{name}-{line}"
        return name, maker.f_back.f_lineno if maker.f_back else line


def _safe(name: str) -> str:
    safe: str = argo_safe_name(name)
    return safe.strip("-") or "step"
