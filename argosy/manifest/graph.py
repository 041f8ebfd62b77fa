"""The graph of a DAG template: who depends on whom, ancestors, cycles, an order."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from argosy.manifest.depends import references
from argosy.manifest.model import Call, Template, text, texts
from argosy.manifest.tagged import has_tag


@dataclass(frozen=True)
class Dependency:
    """`task` depends on `name`; `result` is what it waits for, empty for "ended well"."""

    name: str
    result: str = ""


class Graph:
    """A DAG's tasks by name and their dependencies. Tolerates names that are missing, doubled or unknown."""

    def __init__(self, template: Template) -> None:
        self.tasks: dict[str, Call] = {call.name: call for call in template.calls}
        self.dependencies: dict[str, list[Dependency]] = {
            n: list(depends_on(c)) for n, c in self.tasks.items()
        }

    def parents(self, name: str) -> list[str]:
        """The defined tasks that `name` depends on directly."""
        return [d.name for d in self.dependencies.get(name, ()) if d.name in self.tasks]

    @cached_property
    def order(self) -> list[str]:
        """Parents before children, else in order of writing; tasks on a cycle come last."""
        sorter = TopologicalSorter({name: self.parents(name) for name in self.tasks})
        with suppress(CycleError):  # it goes on as far as the circles let it
            sorter.prepare()
        done: dict[str, None] = {}
        while ready := sorter.get_ready():
            done.update(dict.fromkeys(ready))
            sorter.done(*ready)
        return [*done, *(n for n in self.tasks if n not in done)]

    @cached_property
    def _ancestors(self) -> dict[str, int]:
        # One bit a task: a chain of 10,000 tasks takes 12 MB this way, as sets it would take gigabytes.
        bits = {name: 1 << i for i, name in enumerate(self.tasks)}
        found: dict[str, int] = {}
        for name in self.order:
            found[name] = 0
            for parent in self.parents(name):
                found[name] |= bits[parent] | found.get(parent, 0)
        return found

    def is_ancestor(self, ancestor: str, name: str) -> bool:
        """True if `name` waits, directly or not, for `ancestor`."""
        if any(d.name == ancestor for d in self.dependencies.get(name, ())):
            return True
        position = self._positions.get(ancestor)
        return position is not None and bool(self._ancestors.get(name, 0) >> position & 1)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.tasks)}

    def cycle(self) -> list[str]:
        """The names along one cycle, first again at the end; empty if there is none."""
        return find_cycle({name: self.parents(name) for name in self.tasks})


def depends_on(call: Call) -> Iterator[Dependency]:
    """The dependencies of a task, from `depends` or, without it, from `dependencies`."""
    depends = text(call.body.get("depends"))
    if has_tag(depends):
        # Names with tags in them are compared as they are written; other tags are known at run time only.
        named = (c.name for c in call.template.calls if has_tag(c.name) and c.name in depends)
        yield from (Dependency(name) for name in named)
    elif depends:
        yield from (Dependency(name, result) for name, result in references(depends))
    else:
        yield from (Dependency(d) for d in texts(call.body.get("dependencies")))


def find_cycle(parents: dict[str, list[str]]) -> list[str]:
    """A cycle in a graph of parents, its first name again at the end; an empty list if there is none."""
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []
