"""The names of Couler's own steps: of their tasks, and of the templates that these call.

Couler takes a template for a step's by its name alone: the program of the first step of a name, or a
component's, would run in place of every other of that name.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from couler.core import states
from couler.core.templates import OutputArtifact, OutputJob
from couler.core.templates.artifact import Artifact
from couler.core.templates.output import Output
from couler.core.utils import argo_safe_name

from argosy.compose.couler_steps import refuse_lost
from argosy.compose.placeholders import Placeholder
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER

_RESERVED = (ENTRYPOINT, EXIT_HANDLER)
_VERBS = ("run_container", "run_script", "run_job", "run_canned_step")
# The lists of the program's own that Couler adds to: outputs of dependencies, an artifact for each of them
# among the arguments, a mount for each output.
_ADDED_TO = ("args", "input", "volume_mounts")


class Places:
    """Takes the place of Couler's `invocation_location`, once for a composition.

    Couler's own counts on the program being the outermost frame, gives all steps that are made in one
    function one name, and therefore one template, and reads the whole stack's source each time.

    Attributes:
        name: of the step that is being made, as the program gives it or by the function's name.
        called: what that step calls: equal for another one if that does the same.
        args: all its arguments, with those that come from its dependencies.
    """

    def __init__(self) -> None:
        self._first: dict[str, tuple[CodeType, int]] = {}
        self._given: str | None = None
        self._template = ""
        self._content: Any = None
        self._lists: dict[str, tuple[list[Any], int]] = {}
        self.name = ""
        self.called: Any = None
        self.args: list[Any] | None = None

    def __call__(self) -> tuple[str, int]:
        """The name of the template of the step that is made, and the line where its function was called."""
        verb = sys._getframe(1)
        call = verb.f_locals
        refuse_lost(call)
        name, line = self._placed(sys._getframe(2))  # above this function and the verb that asks
        if verb.f_code.co_name not in _VERBS:
            return name, line
        self._given = call.get("step_name")
        self.name = self._given or name
        self.args = _all_arguments(call)
        self._content = (verb.f_code.co_name, _content(call, self.args or []))
        self._lists = {n: (v, len(v)) for n in _ADDED_TO if isinstance(v := call.get(n), list)}
        self._template = self._free_template(name if self._given is None else _safe(self._given))
        self.called = (self._template, _frozen(self.args))
        return self._template, line

    def safe_name(self, name: str | None) -> str | None:
        """In place of Couler's `argo_safe_name`: of a step that is being made, the name of its template."""
        if name is not None and name == self._given:
            return self._template
        safe: str | None = argo_safe_name(name)
        return safe

    def remember(self) -> None:
        """Keep with the template what it was made of, and give the program its lists back as they were."""
        template = states.workflow.get_template(self._template)
        if template is not None:
            template.argosy_content = self._content
        for name, (given, size) in self._lists.items():
            if template is not None and vars(template).get(name) is given:
                setattr(template, name, list(given))
            del given[size:]

    def _placed(self, maker: Any) -> tuple[str, int]:
        function, line = maker.f_code.co_name, maker.f_lineno
        if function.startswith("<") and function != "<lambda>":  # the top of a module, or a comprehension
            return f"{_safe(Path(maker.f_code.co_filename).stem)}-{line}", line
        name, place = _safe(function), (maker.f_code, line)
        if self._first.setdefault(name, place) != place or name in _RESERVED:
            name = f"{name}-{line}"
        return name, maker.f_back.f_lineno if maker.f_back else line

    def _free_template(self, base: str) -> str:
        """The template that has this content already, or a name that none has."""
        name, number = base, 2
        while (known := states.workflow.get_template(name)) is not None or name in _RESERVED:
            if known is not None and getattr(known, "argosy_content", None) == self._content:
                return name
            name, number = f"{base}-{number}", number + 1
        return name


def _safe(name: str) -> str:
    safe: str = argo_safe_name(name)
    return safe.strip("-") or "step"


def _all_arguments(call: Mapping[str, Any]) -> list[Any] | None:
    """The step's `args`, and the outputs of the steps that it depends on."""
    args, inferred = call.get("args"), states._outputs_tmp
    if args is None:
        return None if inferred is None else list(inferred)
    listed = args if isinstance(args, list) else [args]
    if listed and isinstance(listed[0], list) and listed[0] and isinstance(listed[0][0], Output):
        listed = listed[0]
    new = [each for each in inferred or () if not any(each is other for other in listed)]
    return [*listed, *new]


def _content(call: Mapping[str, Any], args: list[Any]) -> Any:
    """All that makes the template of a step: everything that its verb is given, but the values of `args`."""
    parts = {name: _frozen(v) for name, v in call.items() if name not in ("step_name", "args")}
    files = [
        _frozen(each) if isinstance(each, OutputArtifact) else isinstance(each, OutputJob) for each in args
    ]
    return parts, files


def _frozen(value: Any) -> Any:
    """A value of a call as plain data that can be compared."""
    if isinstance(value, Placeholder):
        return ("value", str(value))
    if isinstance(value, OutputArtifact):
        return ("artifact", _frozen(value.artifact))
    if isinstance(value, Output):
        return ("output", value.value)
    if isinstance(value, dict):
        return {str(key): _frozen(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_frozen(inner) for inner in value]
    if isinstance(value, FunctionType):
        return value.__code__
    if isinstance(value, (type, enum.Enum)) or not hasattr(value, "__dict__"):
        return (type(value).__name__, repr(value))
    # An artifact of Couler's has another name in each call: it says nothing of the program.
    fields = {k: v for k, v in vars(value).items() if k != "id" or not isinstance(value, Artifact)}
    return (type(value).__name__, _frozen(fields))
