"""The order of a template's tasks: known names, no cycle, and who is finished before whom."""

from __future__ import annotations

from argosy.errors import ManifestError
from argosy.runner.dag import condition_of
from argosy.runner.errors import ConditionError
from argosy.runner.model import Template
from argosy.text import nearest


def check_dag(template: Template) -> None:
    """Raise ManifestError for a bad `depends`, a task that does not exist, or a cycle."""
    names = [task.name for task in template.tasks]
    for task in template.tasks:
        where = f"template '{template.name}', '{task.name}'"
        try:
            needed = condition_of(task).tasks
        except ConditionError as error:
            raise ManifestError(f"{where}: {error}") from error
        unknown = next((name for name in sorted(needed) if name not in names), None)
        if unknown is not None:
            raise ManifestError(
                f"{where}: depends on '{unknown}', which is no task of its DAG{nearest(unknown, names)}"
            )
    for name in template.target.split():
        if "{{" not in template.target and name not in names:
            raise ManifestError(
                f"template '{template.name}': target '{name}' is no task{nearest(name, names)}"
            )
    cycle = _cycle({task.name: sorted(condition_of(task).tasks) for task in template.tasks})
    if cycle:
        raise ManifestError(
            f"template '{template.name}': its tasks wait for each other: {' -> '.join(cycle)}"
        )


class Order:
    """Which task or step of a template is always over before which other starts."""

    def __init__(self, template: Template) -> None:
        self._group = {call.name: index for index, group in enumerate(template.groups) for call in group}
        self._needed = {task.name: condition_of(task).tasks for task in template.tasks}

    def is_before(self, first: str, second: str) -> bool:
        """Whether `first` is over whenever `second` starts."""
        if second in self._group:
            return self._group[first] < self._group[second]
        seen: set[str] = set()
        queue = list(self._needed[second])
        while queue:
            name = queue.pop()
            if first == name or first in self._needed[name]:
                return True
            queue.extend(self._needed[name] - seen)
            seen |= self._needed[name]
        return False


def _cycle(needed: dict[str, list[str]]) -> list[str]:
    """Names along one cycle, the first repeated at the end, or nothing. Iterative: DAGs can be deep."""
    state: dict[str, int] = {}
    for root in needed:
        path, stack = [], [(root, iter(needed[root]))] if root not in state else []
        while stack:
            name, rest = stack[-1]
            if state.get(name) is None:
                state[name] = 1
                path.append(name)
            below = next(rest, None)
            if below is None:
                state[name] = 2
                path.pop()
                stack.pop()
            elif state.get(below) == 1:
                return [*path[path.index(below) :], below]
            elif below not in state:
                stack.append((below, iter(needed[below])))
    return []
