"""The tasks of a composition and the conditions around them, and how they become those of an Argo DAG."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from argosy.compose.placeholders import Placeholder, refuse_unseen
from argosy.compose.references import TaskHandle, couler_output_text
from argosy.compose.tags import tasks_in
from argosy.declare.reference import TemplateRef
from argosy.declare.source import call_site, is_user_code
from argosy.errors import ComposeError
from argosy.manifest.depends import references
from argosy.step.interface import ArtifactKind
from argosy.step.values import ValueType, fixed, unboxed

# One word or one number, which govaluate, the evaluator of `when`, reads without quotes.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|-?\d+(\.\d+)?")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Both kinds of quotes end a text there, whichever began it.
_ENDS = re.compile(r"""[\\"']""")


@dataclass
class Task:
    """One task.

    Attributes:
        name, template: as in YAML; a `TemplateRef` is written as `templateRef`.
        site: the user's line that made it.
        parameters, artifacts: its arguments, name to text.
        optional: those artifacts that may be missing.
        needs: the tasks that its data comes from.
        after: tasks that it waits for without taking data from them.
        depends: an explicit expression over tasks, as given to `couler.set_dependencies`.
        conditions: of the `when`s around it, outermost first.
        items: `withItems` or `withParam`, if it is a loop.
        bare: it is a step of Couler's own, which has a place in the order of the program.
    """

    name: str
    template: str
    site: str
    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    needs: dict[str, None] = field(default_factory=dict)
    after: dict[str, None] = field(default_factory=dict)
    depends: str | None = None
    conditions: tuple[Condition, ...] = ()
    items: dict[str, Any] = field(default_factory=dict)
    bare: bool = False

    def to_dict(self, tasks: Mapping[str, Task]) -> dict[str, Any]:
        """The task of an Argo DAG, among `tasks`."""
        when, sources = self._own_conditions(tasks)
        entry: dict[str, Any] = {"name": self.name, **self._called()}
        if depends := self._depends(tasks, sources):
            entry["depends"] = depends
        if when:
            entry["when"] = " && ".join(when)
        if arguments := self._arguments():
            entry["arguments"] = arguments
        return {**entry, **self.items}

    def _called(self) -> dict[str, Any]:
        if isinstance(self.template, TemplateRef):
            return {"templateRef": self.template.to_dict()}
        return {"template": self.template}

    def _arguments(self) -> dict[str, Any]:
        parameters = [{"name": n, "value": v} for n, v in self.parameters.items()]
        artifacts = [{"name": n, "from": v, **self._may_miss(n)} for n, v in self.artifacts.items()]
        return {k: v for k, v in (("parameters", parameters), ("artifacts", artifacts)) if v}

    def _may_miss(self, artifact: str) -> dict[str, bool]:
        return {"optional": True} if artifact in self.optional else {}

    def _own_conditions(self, tasks: Mapping[str, Task]) -> tuple[list[str], list[str]]:
        """The conditions that this task must state itself, and the tasks that they look at.

        A condition that a task upstream already stands under need not be said again: unless
        that task succeeded, this one is omitted.  A loop succeeds also where each of its items is skipped.
        """
        upstream = [*self.needs, *([] if self.depends else self.after)]
        stated: list[str] = []
        sources: list[str] = []
        for depth in range(len(self.conditions), 0, -1):
            branch = self.conditions[:depth]
            before = [t for t in (self._get(tasks, name) for name in upstream) if not t.items]
            if any(t.conditions[:depth] == branch for t in before):
                break
            stated.insert(0, branch[-1].text)
            sources = branch[-1].sources + sources
            upstream += branch[-1].sources
        return stated, sources

    def _depends(self, tasks: Mapping[str, Task], sources: list[str]) -> str:
        told = _tasks_of(self.depends or "")
        data = [t for t in dict.fromkeys([*self.needs, *sources]) if t not in told]
        terms = [self._data_term(tasks, t) for t in data]
        terms += [self._order_term(tasks, t) for t in self.after if t not in self.needs and t not in sources]
        if self.depends:
            alone = not terms
            terms.append(self.depends if alone else f"({self.depends})")
        return " && ".join(terms)

    def _data_term(self, tasks: Mapping[str, Task], name: str) -> str:
        task = self._get(tasks, name)
        # A loop over nothing is Skipped, and makes no output: who reads one is omitted with it.
        return f"{name}.Succeeded" if task.conditions or "withParam" in task.items else name

    def _order_term(self, tasks: Mapping[str, Task], name: str) -> str:
        branch = self._get(tasks, name).conditions
        if not branch:
            return name
        if self.conditions[: len(branch)] == branch:
            return f"{name}.Succeeded"
        # From outside of the branch: after it, whether or not it was taken.
        return f"({name}.Succeeded || {name}.Skipped || {name}.Omitted)"

    def _get(self, tasks: Mapping[str, Task], name: str) -> Task:
        try:
            return tasks[name]
        except KeyError:
            known = ", ".join(t for t in tasks if t != self.name)
            told = f"there is: {known}" if known else "an exit handler reads nothing of the workflow's steps"
            raise ComposeError(
                f"{self.site}: '{self.name}' depends on '{name}', which is no task here; {told}"
            ) from None


def _tasks_of(depends: str) -> set[str]:
    """The tasks that an expression given to `couler.set_dependencies` speaks of."""
    return {name for name, _ in references(depends)}


@dataclass(frozen=True)
class Condition:
    """One comparison, as Argo reads it, and the tasks whose outputs it looks at."""

    text: str

    @property
    def sources(self) -> list[str]:
        return tasks_in(self.text)


class Comparison(dict[str, Any]):
    """The result of `couler.equal(...)` and its like, which the workflow decides and Python cannot.

    Raises:
        ComposeError: Python asks whether it is true (`if`, `and`, `not`), or `couler.when` for a second value
            where there is none.
    """

    def __bool__(self) -> bool:
        if is_user_code(sys._getframe(1)):
            raise ComposeError(
                f"{call_site()}: only the workflow knows whether couler.{_VERBS[self['condition']]}(...) "
                "holds: give it to couler.when, one inside of the other for 'and', two branches for 'or'"
            )
        return True

    def __missing__(self, key: str) -> Any:
        raise ComposeError(
            f"{call_site()}: couler.{_VERBS[self['condition']]} compares two values; None is the empty "
            "text in a workflow: compare with ''"
        )


_VERBS = {
    "==": "equal",
    "!=": "not_equal",
    ">": "bigger",
    "<": "smaller",
    ">=": "bigger_equal",
    "<=": "smaller_equal",
}


def predicate(pre: Any, post: Any, condition: str) -> Comparison:
    """In place of Couler's function behind `couler.equal` and its like: the comparison, if it can be made.

    Raises:
        ComposeError: no values of these two types are ever equal, or in an order.
    """
    left, right = (side() if callable(side) else side for side in (pre, post))
    if right is None:
        return Comparison(pre=left, condition=condition)
    check_comparable(left, condition, right)
    return Comparison(pre=left, condition=condition, post=right)


def check_comparable(left: Any, sign: str, right: Any) -> None:
    """Raise ComposeError on the user's line for a comparison that is an error, or always the same."""
    sides = [unboxed(v[0] if type(v) is TaskHandle else v) for v in (left, right)]
    for value in sides:
        _refuse_incomparable(value)
    kinds = [_kind_of(value) for value in sides]
    if None in kinds:
        return
    if sign in ("==", "!="):
        problem = _never_equal(*kinds, *sides) or _never_equal(*reversed(kinds), *reversed(sides))
    else:
        problem = (
            "" if kinds[0] == kinds[1] != "flag" else "have no order; numbers are declared as int or float"
        )
    if problem:
        told = " and ".join(f"{v.what} ({v.kind})" if isinstance(v, Placeholder) else repr(v) for v in sides)
        raise ComposeError(f"{call_site()}: couler.{_VERBS[sign]}: {told} {problem}")


def _kind_of(value: Any) -> str | None:
    """Number, flag or text; None where only the workflow knows."""
    if isinstance(value, Placeholder):
        base = value.kind.base if isinstance(value.kind, ValueType) else None
        return {int: "number", float: "number", bool: "flag", str: "text"}.get(base)  # type: ignore[arg-type]
    if isinstance(value, bool) or value in ("true", "false"):
        return "flag"
    if isinstance(value, (int, float)) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return "number"
    return "text" if isinstance(value, str) and "{{" not in value else None


def _never_equal(kind: str | None, other: str | None, value: Any, constant: Any) -> str:
    """Why a value of this kind never equals the other side; empty where it may."""
    if not isinstance(value, Placeholder) or not isinstance(value.kind, ValueType):
        return ""
    if isinstance(constant, Placeholder):
        return "are never equal" if kind != other and "text" not in (kind, other) else ""
    text = _text_of(constant)
    if value.kind.optional and text == "":
        return ""
    if value.kind.choices:
        return "" if text in value.kind.choices else "are never equal"
    return "" if kind in ("text", other) else "are never equal"


def read_condition(condition: dict[str, Any]) -> Condition:
    """A condition as Couler's predicates build it: `pre`, `condition` (the operator), `post`."""
    sides = (condition["pre"], condition["post"])
    left, right = (unboxed(v[0] if type(v) is TaskHandle else v) for v in sides)
    sign = condition["condition"]
    numeric = sign not in ("==", "!=") and "number" in map(_kind_of, (left, right))
    quote = not numeric and (_is_free_text(left) or _is_free_text(right))
    return Condition(f"{_operand(left, quote)} {sign} {_operand(right, quote)}")


def _refuse_incomparable(value: Any) -> None:
    kind = value.kind if isinstance(value, Placeholder) else None
    if isinstance(kind, ArtifactKind) or (isinstance(kind, ValueType) and kind.base in (list, dict)):
        value.refuse(f"a {kind} cannot be compared in a workflow: let a component return what to branch on")
    refuse_unseen(str(value) if isinstance(value, str) else "", "the condition", call_site())
    if isinstance(value, float) and not math.isfinite(value):
        raise ComposeError(f"{call_site()}: a workflow cannot compare with {value}")
    if not (isinstance(value, (str, int, float, Placeholder)) or couler_output_text(value) is not None):
        raise ComposeError(
            f"{call_site()}: a workflow compares texts, numbers and flags, and {value!r} is none; let a "
            "component return what to branch on"
        )


def _is_free_text(value: Any) -> bool:
    """Whether a value's text may contain what `when` would not read as one word."""
    if isinstance(value, Placeholder):
        kind = value.kind
        if not isinstance(kind, ValueType):
            return True
        return kind.optional or (kind.base is str and not all(map(_BARE.fullmatch, kind.choices or ("",))))
    return isinstance(value, str) and not _BARE.fullmatch(value)


def _operand(value: Any, quote: bool) -> str:
    text = couler_output_text(value) or _text_of(value)
    if not quote:
        return text
    return '"' + _ENDS.sub(r"\\\g<0>", text) + '"'


def _text_of(value: Any) -> str:
    """A constant as the workflow writes it, or the tag of a value that is not there yet."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return fixed(value) if isinstance(value, float) else str(value)
