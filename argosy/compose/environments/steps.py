"""The steps of a manifest, by the name of their template and of the task that calls it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from argosy.compose.environments.fields import StepFields

Template = dict[str, Any]
Unmatched = Callable[[StepFields, str, str, Iterable[str]], None]


class Steps:
    """The templates of a workflow spec, which are changed in copies."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.templates: list[Template] = list(spec.get("templates") or ())
        self._around = {k: v for k, v in spec.items() if k in ("entrypoint", "onExit", "hooks")}

    def lay_over_components(self, fields: Mapping[str, StepFields], unmatched: Unmatched) -> None:
        """Lay fields over the templates whose name fits; exact names come last, and so win."""
        names = [t.get("name", "") for t in self.templates if is_step(t)]
        for pattern in _exact_last(fields, names):
            fitting = [n for n in names if fnmatchcase(n, pattern)]
            if not fitting and pattern not in self._called_elsewhere():
                unmatched(fields[pattern], "component", pattern, names)
            for number, template in enumerate(self.templates):
                if template.get("name") in fitting and is_step(template):
                    self.templates[number] = fields[pattern].over(template)

    def lay_over_tasks(self, fields: Mapping[str, StepFields], unmatched: Unmatched) -> None:
        """Lay fields over the steps that tasks of fitting names call.

        A template that other tasks call as well is copied, so that theirs stays as it is.
        """
        names = [str(t.get("name")) for t in self._tasks() if self._step_of(t)]
        for pattern in _exact_last(fields, names):
            if not any(fnmatchcase(n, pattern) for n in names):
                unmatched(fields[pattern], "step", pattern, names)
            called = {t["template"] for t in self._tasks() if self._fits(t, pattern)}
            for template in sorted(called):
                self._lay_over_calls(template, pattern, fields[pattern])

    def _lay_over_calls(self, name: str, pattern: str, fields: StepFields) -> None:
        number = next(i for i, t in enumerate(self.templates) if t.get("name") == name)
        calls = [t for t in self._tasks() if t.get("template") == name]
        fitting = [t for t in calls if self._fits(t, pattern)]
        if len(fitting) == self._times_named(name):
            self.templates[number] = fields.over(self.templates[number])
            return
        copy = self._unused(f"{name}-{fitting[0]['name']}" if fitting[0]["name"] != name else f"{name}-alone")
        ids = {id(t) for t in fitting}
        template = fields.over(self.templates[number])
        self.templates = [_redirected(t, ids, copy) for t in self.templates]
        self.templates.insert(number + 1, {**template, "name": copy})

    def _fits(self, task: Mapping[str, Any], pattern: str) -> bool:
        return self._step_of(task) is not None and fnmatchcase(str(task.get("name")), pattern)

    def _step_of(self, task: Mapping[str, Any]) -> Template | None:
        return next((t for t in self.templates if t.get("name") == task.get("template") and is_step(t)), None)

    def _tasks(self) -> Iterator[dict[str, Any]]:
        for template in self.templates:
            yield from tasks_of(template)

    def _called_elsewhere(self) -> set[str]:
        """Templates of other objects that tasks call: another manifest has them."""
        return {str((t.get("templateRef") or {}).get("template")) for t in self._tasks()}

    def _times_named(self, name: str) -> int:
        """How often a template is named: by tasks, hooks, exit handlers and the workflow itself."""
        return sum(_count(node, name) for node in (self._around, *self.templates))

    def _unused(self, name: str) -> str:
        taken, number, free = {t.get("name") for t in self.templates}, 2, name
        while free in taken:
            free, number = f"{name}-{number}", number + 1
        return free


def is_step(template: Mapping[str, Any]) -> bool:
    """Whether a template is one container: others have no pod to say anything about."""
    return "container" in template or "script" in template


def tasks_of(template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The tasks of a DAG or the steps of its groups."""
    yield from (template.get("dag") or {}).get("tasks") or ()
    for group in template.get("steps") or ():
        yield from group if isinstance(group, list) else (group,)


def _exact_last(fields: Mapping[str, StepFields], names: Iterable[str]) -> list[str]:
    exact = set(names)
    return sorted(fields, key=lambda pattern: pattern in exact)


def _count(node: Any, name: str) -> int:
    if isinstance(node, Mapping):
        own = sum(1 for key in ("template", "onExit", "entrypoint") if node.get(key) == name)
        return own + sum(_count(v, name) for v in node.values())
    return sum(_count(v, name) for v in node) if isinstance(node, list) else 0


def _redirected(template: Template, ids: set[int], name: str) -> Template:
    """The template, with those of its tasks that are in `ids` calling `name`."""

    def one(task: dict[str, Any]) -> dict[str, Any]:
        return {**task, "template": name} if id(task) in ids else task

    if "dag" in template:
        return {**template, "dag": {**template["dag"], "tasks": [one(t) for t in template["dag"]["tasks"]]}}
    if "steps" in template:
        groups = [[one(t) for t in g] if isinstance(g, list) else one(g) for g in template["steps"]]
        return {**template, "steps": groups}
    return template
