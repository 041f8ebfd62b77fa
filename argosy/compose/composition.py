"""One composition: the user's Couler program runs once, and its tasks and templates are collected."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import couler.argo as couler
from couler.core import states
from couler.core.step_update_utils import update_step
from couler.core.templates import Container

from argosy.component import Component
from argosy.compose.binding import bind
from argosy.compose.conditions import Condition
from argosy.compose.context import composing
from argosy.compose.couler_state import ManifestCollector, fresh_couler
from argosy.compose.references import TaskHandle, couler_output_text, tasks_in
from argosy.compose.source import call_site
from argosy.compose.surroundings import Surroundings, read_surroundings
from argosy.compose.tasks import Task
from argosy.errors import ComposeError
from argosy.template import render_template

# Couler puts quotes inside its values, for a serialiser that used to take them off again.
_QUOTED = re.compile(r"""^(?:"(\{\{.*\}\})"|'(-?\d+(?:\.\d+)?|True|False)')$""", re.S)


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


class Composition:
    """Turns calls of components, and Couler's own steps, into tasks.

    Attributes:
        tasks: of the workflow, by name, in the order of the program.
        exit_tasks: of the exit handler.
        manifest: what Couler itself would submit.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.exit_tasks: dict[str, Task] = {}
        self.manifest: dict[str, Any] = {}
        self._templates: dict[str, RenderedTemplate] = {}
        self._template_names: dict[Component[Any, Any], str] = {}
        self._calls: dict[Any, TaskHandle] = {}
        # How often a name was taken: the second `promote` is `promote-2`.
        self._numbers: defaultdict[str, int] = defaultdict(lambda: 1)
        self._adding = False

    @classmethod
    def of(cls, program: Callable[[], Any]) -> "Composition":
        """Run `program` once and collect what it composes.

        Raises:
            ComposeError: the program calls a component or uses an output wrongly.
        """
        composition = cls()
        with fresh_couler(composition.on_couler_task), composing(composition):
            program()
            collector = ManifestCollector()
            couler.run(submitter=collector)
        composition.manifest = collector.manifest
        return composition

    def call(
        self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> TaskHandle:
        """Add the task of one call and return the handle of its outputs."""
        site = call_site()
        around = read_surroundings()
        if around.unsupported:
            raise ComposeError(f"{site}: {component.interface.name}() cannot stand in {around.unsupported}")
        arguments = bind(component.interface, args, kwargs, site)
        # `couler.dag` names a node once for each edge: the same call there is the same task.
        identity = (component.interface.name, str(arguments)) if "dag" in around.verbs else None
        handle = self._calls.get(identity)
        if handle is None:
            task = Task(
                name=self._free_name(component.interface.name),
                template=self._add_template(component),
                site=site,
                parameters=arguments.parameters,
                artifacts=arguments.artifacts,
                needs=arguments.needs,
            )
            handle = TaskHandle(task.name, component.interface.outputs)
            if identity:
                self._calls[identity] = handle
            self._place(task, around)
        task = (self.exit_tasks if around.exit_status else self.tasks)[str(handle)]
        self._order(task, around)
        self._wire(task)
        return handle

    def on_couler_task(self, name: str, entry: dict[str, Any]) -> None:
        """Couler has put a task into its table: one of our own, or one of its own steps."""
        if self._adding:
            return
        around = read_surroundings()
        task = (self.exit_tasks if around.exit_status else self.tasks).get(name)
        if task is None:
            task = _couler_task(name, entry, call_site())
            self._place(task, around)
        self._order(task, around, bare_is_chained=True)

    def _free_name(self, name: str) -> str:
        free = name
        while free in self.tasks or free in self.exit_tasks:
            self._numbers[name] += 1
            free = f"{name}-{self._numbers[name]}"
        return free

    def _add_template(self, component: Component[Any, Any]) -> str:
        known_as = self._template_names.get(component)
        if known_as is None:
            known_as = self._template_names[component] = self._render(component)
        return known_as

    def _render(self, component: Component[Any, Any]) -> str:
        base, number = component.template_name, 2
        name = base
        rendered = render_template(component, name)
        while (known := self._templates.get(name)) is not None:
            if known.template == rendered:
                return name
            name, number = f"{base}-{number}", number + 1
            rendered = {**rendered, "name": name}
        self._templates[name] = RenderedTemplate(rendered)
        states.workflow.add_template(self._templates[name])
        return name

    def _place(self, task: Task, around: Surroundings) -> None:
        task.conditions = around.conditions
        (self.exit_tasks if around.exit_status else self.tasks)[task.name] = task
        if around.exit_status:
            task.conditions = (
                Condition(f"{{{{workflow.status}}}} == {around.exit_status}"),
                *task.conditions,
            )

    def _order(self, task: Task, around: Surroundings, bare_is_chained: bool = False) -> None:
        if isinstance(around.dependencies, str):
            task.depends = around.dependencies
        elif around.dependencies is not None:
            task.after.update((str(name), None) for name in around.dependencies)
        elif (around.chained or bare_is_chained) and states._upstream_dag_task and not around.exit_status:
            task.after.update((name, None) for name in states._upstream_dag_task if name != task.name)

    def _wire(self, task: Task) -> None:
        self._adding = True
        try:
            update_step(task.template, None, task.name, None)
        finally:
            self._adding = False


def _couler_task(name: str, entry: dict[str, Any], site: str) -> Task:
    """One of Couler's own steps, with its values put right."""
    task = Task(name=name, template=entry["template"], site=site)
    arguments = entry.get("arguments", {})
    task.parameters = {p["name"]: unquoted(p["value"]) for p in arguments.get("parameters", ())}
    task.artifacts = {a["name"]: unquoted(a["from"]) for a in arguments.get("artifacts", ())}
    for text in (*task.parameters.values(), *task.artifacts.values()):
        task.needs.update(dict.fromkeys(tasks_in(text)))
    return task


def unquoted(value: Any) -> str:
    """A value of Couler's without the quotes that it put around it."""
    text = couler_output_text(value) or str(value)
    match = _QUOTED.match(text)
    return (match[1] or match[2]) if match else text
