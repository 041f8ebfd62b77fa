"""The tasks of a composition, and how they become those of an Argo DAG."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from argosy.compose.conditions import Condition
from argosy.declare.reference import TemplateRef
from argosy.errors import ComposeError
from argosy.manifest.depends import references


def _tasks_of(depends: str) -> set[str]:
    """The tasks that an expression given to `couler.set_dependencies` speaks of."""
    return {name for name, _ in references(depends)}


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

    def to_dict(self, tasks: Mapping[str, "Task"]) -> dict[str, Any]:
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

    def _own_conditions(self, tasks: Mapping[str, "Task"]) -> tuple[list[str], list[str]]:
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

    def _depends(self, tasks: Mapping[str, "Task"], sources: list[str]) -> str:
        told = _tasks_of(self.depends or "")
        data = [t for t in dict.fromkeys([*self.needs, *sources]) if t not in told]
        terms = [self._data_term(tasks, t) for t in data]
        terms += [self._order_term(tasks, t) for t in self.after if t not in self.needs and t not in sources]
        if self.depends:
            alone = not terms
            terms.append(self.depends if alone else f"({self.depends})")
        return " && ".join(terms)

    def _data_term(self, tasks: Mapping[str, "Task"], name: str) -> str:
        task = self._get(tasks, name)
        # A loop over nothing is Skipped, and makes no output: who reads one is omitted with it.
        return f"{name}.Succeeded" if task.conditions or "withParam" in task.items else name

    def _order_term(self, tasks: Mapping[str, "Task"], name: str) -> str:
        branch = self._get(tasks, name).conditions
        if not branch:
            return name
        if self.conditions[: len(branch)] == branch:
            return f"{name}.Succeeded"
        # From outside of the branch: after it, whether or not it was taken.
        return f"({name}.Succeeded || {name}.Skipped || {name}.Omitted)"

    def _get(self, tasks: Mapping[str, "Task"], name: str) -> "Task":
        try:
            return tasks[name]
        except KeyError:
            known = ", ".join(t for t in tasks if t != self.name)
            told = f"there is: {known}" if known else "an exit handler reads nothing of the workflow's steps"
            raise ComposeError(
                f"{self.site}: '{self.name}' depends on '{name}', which is no task here; {told}"
            ) from None
