"""Which of Couler's verbs a call stands in.

Couler keeps this in module globals that leak after an exception and forget the outer `when` of a
nested one.  But every verb is an ordinary function that calls the user's function, so the truth is on
the call stack: the frames of `couler.when`, `couler.dag`, ... with the arguments that they were given.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from couler.core import states
from couler.core.templates import Container

from argosy.compose.ending import EVERY_END, at_every_end
from argosy.compose.placeholders import task_names
from argosy.compose.tasks import Condition, read_condition
from argosy.declare.component import Component
from argosy.declare.template import render_template
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER

OWN_NAMES = (ENTRYPOINT, EXIT_HANDLER)
"""Of the templates that a workflow has by itself."""
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
            found.dependencies = _named(frame.f_locals["dependencies"])
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


def _named(dependencies: Any) -> Any:
    """The dependencies with the plain names of tasks in their texts."""
    if isinstance(dependencies, list):
        return [task_names(d) if isinstance(d, str) else d for d in dependencies]
    return task_names(dependencies) if isinstance(dependencies, str) else dependencies


Names = dict[str, None]


@dataclass
class _Fork:
    """A `couler.concurrent` going on: its frame, the function it is at, what came before, the ends."""

    frame: FrameType
    branch: int
    start: Names
    ends: Names = field(default_factory=dict)


class Chain:
    """The last tasks of one DAG, in the order of the program."""

    def __init__(self) -> None:
        self._last: Names = {}
        self._forks: list[_Fork] = []

    def before(self, forks: list[FrameType]) -> Names:
        """The tasks that the next step waits for, inside the calls of `concurrent` with these frames."""
        self._join(forks)
        for depth, frame in enumerate(forks):
            branch = len(frame.f_locals.get("function_rets", ()))
            if depth == len(self._forks):
                self._forks.append(_Fork(frame, branch, dict(self._last)))
            elif self._forks[depth].branch != branch:
                fork = self._forks[depth]
                fork.ends |= self._last
                fork.branch, self._last = branch, dict(fork.start)
        return self._last

    def _join(self, forks: list[FrameType]) -> None:
        while self._forks:
            depth = len(self._forks) - 1
            if depth < len(forks) and forks[depth] is self._forks[depth].frame:
                return
            self._last = self._forks.pop().ends | self._last

    def then(self, name: str) -> None:
        """The next step waits for this task alone."""
        self._last = {name: None}

    def beside(self, name: str, forks: list[FrameType], in_place_of: Iterable[str]) -> None:
        """The next step waits for this task, too, and no longer for those that it waits for itself."""
        self.before(forks)
        for other in in_place_of:
            self._last.pop(other, None)
        self._last[name] = None


class RenderedTemplate(Container):  # type: ignore[misc]  # couler carries no types
    """A complete Argo template in Couler's table, which Couler then only refers to."""

    def __init__(self, template: dict[str, Any]) -> None:
        Container.__init__(self, name=template["name"], image="", command=None)
        self.template = template

    def to_dict(self) -> dict[str, Any]:
        """The template as it was rendered."""
        return self.template

    def get_volume_mounts(self) -> None:
        """None: Couler would make an empty volume of each mount."""


class Templates:
    """The templates of one composition."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[str, Any]] = {}
        self._names: dict[Component[Any, Any], str] = {}

    @property
    def components(self) -> dict[str, Component[Any, Any]]:
        """The components by the names of their templates."""
        return {name: component for component, name in self._names.items()}

    @property
    def rendered(self) -> list[tuple[Component[Any, Any], dict[str, Any]]]:
        """The components, each with its template."""
        return [(component, self._by_name[name]) for component, name in self._names.items()]

    def add(self, component: Component[Any, Any]) -> str:
        """The template that a component's task calls: one that is added here, or one published elsewhere.

        A second template of the same name and other content is numbered, and so is one that has the name of a
        template of the workflow's own, or of a step of Couler's.
        """
        if component.template_ref is not None:
            return component.template_ref
        name = self._names.get(component)
        if name is None:
            name = self._names[component] = self._add(component)
        return name

    def rendered_as(self, name: str) -> dict[str, Any]:
        """The template of that name."""
        return self._by_name[name]

    def _add(self, component: Component[Any, Any]) -> str:
        base, number = component.template_name, 2
        rendered = render_template(component, base)
        while (known := states.workflow.get_template(rendered["name"])) or rendered["name"] in OWN_NAMES:
            if isinstance(known, RenderedTemplate) and known.template == rendered:
                return str(rendered["name"])
            rendered, number = {**rendered, "name": f"{base}-{number}"}, number + 1
        name: str = rendered["name"]
        self._by_name[name] = rendered
        states.workflow.add_template(RenderedTemplate(rendered))
        return name
