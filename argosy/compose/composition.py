"""One composition: the user's Couler program runs once, and its tasks and templates are collected."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import couler.argo as couler
from couler.core import states
from couler.core.step_update_utils import update_step

from argosy.component import Component
from argosy.compose.binding import Arguments, bind
from argosy.compose.chain import Chain
from argosy.compose.conditions import Condition
from argosy.compose.context import composing
from argosy.compose.couler_state import ManifestCollector, fresh_couler
from argosy.compose.couler_steps import couler_task
from argosy.compose.loops import Group, Items, looped_over, own_item, read_items, stand_ins
from argosy.compose.references import TaskHandle, tasks_in
from argosy.compose.source import call_site
from argosy.compose.surroundings import Surroundings, compose_body, read_surroundings
from argosy.compose.tasks import Task
from argosy.compose.templates import Templates


class Composition:
    """Turns calls of components, and Couler's own steps, into tasks.

    Attributes:
        tasks: of the workflow, by name, in the order of the program.
        exit_tasks: of the exit handler.
        groups: templates made from the bodies of loops.
        manifest: what Couler itself would submit.
        result: what the program returned.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.exit_tasks: dict[str, Task] = {}
        self.groups: list[Group] = []
        self.manifest: dict[str, Any] = {}
        self.result: Any = None
        self._templates = Templates()
        self._calls: dict[Any, TaskHandle] = {}
        # How often a name was taken: the second `promote` is `promote-2`.
        self._numbers: defaultdict[str, int] = defaultdict(lambda: 1)
        self._names: set[str] = set()
        self._adding = False
        # The DAG that tasks go into, innermost last; and the handles that were made in it.
        self._scopes: list[dict[str, Task]] = [self.tasks]
        self._made: list[list[Any]] = [[]]
        self._chains: defaultdict[int, Chain] = defaultdict(Chain)
        self._loops = 0
        self._replays: dict[FrameType, Iterator[Any]] = {}

    @classmethod
    def of(cls, program: Callable[[], Any]) -> "Composition":
        """Run `program` once and collect what it composes.

        Raises:
            ComposeError: the program calls a component or uses an output wrongly.
        """
        composition = cls()
        with fresh_couler(composition.on_couler_task, composition.name_couler_step), composing(composition):
            composition.result = program()
            collector = ManifestCollector()
            couler.run(submitter=collector)
        composition.manifest = collector.manifest
        composition._replays.clear()
        composition._chains.clear()
        return composition

    @property
    def spec(self) -> dict[str, Any]:
        """Couler's own workflow spec, also where `config_workflow` made a CronWorkflow of it."""
        outer: dict[str, Any] = self.manifest["spec"]
        inner: dict[str, Any] = outer.get("workflowSpec", outer)
        return inner

    def call(
        self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> TaskHandle:
        """Add the task of one call and return the handle of its outputs."""
        site = call_site()
        around = read_surroundings()
        if around.loop:
            handle: TaskHandle = next(self._replay(*around.loop, site))
            return handle
        arguments = bind(component.interface, args, kwargs, site)
        # `couler.dag` names a node once for each edge: the same call there is the same task.
        identity = (component.interface.name, str(arguments)) if "dag" in around.verbs else None
        handle = self._calls.get(identity) or self._add(component, arguments, around, site)
        if identity:
            self._calls[identity] = handle
        task = self._scope(around)[str(handle)]
        self._order(task, around)
        self._note(task, around)
        self._wire(task)
        return handle

    def _add(
        self, component: Component[Any, Any], arguments: Arguments, around: Surroundings, site: str
    ) -> TaskHandle:
        task = Task(
            name=self._free_name(component.interface.name),
            template=self._templates.add(component),
            site=site,
            parameters=arguments.parameters,
            artifacts=arguments.artifacts,
            needs=arguments.needs,
        )
        self._place(task, around)
        handle = TaskHandle(task.name, task.template, component.interface.outputs)
        for made in self._made:
            made.append(handle)
        return handle

    def on_couler_task(self, name: str, entry: dict[str, Any]) -> None:
        """Couler has put a task into its table: one of our own, or one of its own steps."""
        if self._adding:
            return
        around = read_surroundings()
        if around.loop:
            states.workflow.dag_tasks.pop(name, None)
            return
        task = self._scope(around).get(name)
        if task is None:
            task = couler_task(name, entry, call_site())
            self._names.add(name)
            self._place(task, around)
        self._order(task, around)
        self._chain_bare(task, around)

    def name_couler_step(self, name: str) -> str:
        """The name of a task for one of Couler's own steps: in a DAG that the user draws the step's own.

        Elsewhere each call is a task of its own.
        """
        around = read_surroundings()
        if around.loop:
            return str(next(self._replay(*around.loop, call_site())))
        if "dag" not in around.verbs and "set_dependencies" not in around.verbs:
            name = self._free_name(name)
        for made in self._made:
            made.append(name)
        return name

    def _replay(self, verb: str, frame: FrameType, site: str) -> Iterator[Any]:
        """What the steps of a loop's body are known by: handles, or the names of Couler's own.

        The body is composed when Couler's own pass through it reaches its first step.
        """
        if frame not in self._replays:
            self._made.append([])
            self._compose_loop(verb, frame, site)
            self._replays[frame] = iter(self._made.pop())
        return self._replays[frame]

    def _compose_loop(self, verb: str, frame: FrameType, site: str) -> None:
        around = read_surroundings(frame.f_back)
        given = frame.f_locals
        self._loops += 1
        number = self._loops
        body: dict[str, Task] = {}
        self._scopes.append(body)
        try:
            if verb == "exec_while":
                result = compose_body(given["inner_while"])
            else:
                compose_body(given["function"], *stand_ins(given, number))
        finally:
            self._scopes.pop()
        if verb == "exec_while":
            group = self._group("while", number, body)
            group.repeat_while(given["condition"], result, site)
            task = group.call(site)
        else:
            task = self._loop_task(number, body, read_items(looped_over(given)), site)
        self._place(task, around)
        self._order(task, around)
        if isinstance(next(iter(self._made[-1]), None), str):
            self._chain_bare(task, around)
        else:
            self._note(task, around)

    def _loop_task(self, number: int, body: dict[str, Task], items: Items, site: str) -> Task:
        """A task for the body: the one that it consists of, or a call of a template made from it."""
        task = next(iter(body.values()))
        if len(body) > 1 or task.conditions or task.items:
            task = self._group("map", number, body).call(site)
        task.parameters = {n: own_item(t, number) for n, t in task.parameters.items()}
        task.items = items
        task.needs.update(dict.fromkeys(tasks_in(items.get("withParam", ""))))
        return task

    def _group(self, prefix: str, number: int, body: dict[str, Task]) -> Group:
        group = Group(self._free_name(f"{prefix}-{next(iter(body))}"), number, body)
        group.close()
        self.groups.append(group)
        return group

    def _free_name(self, name: str) -> str:
        free = name
        while free in self._names:
            self._numbers[name] += 1
            free = f"{name}-{self._numbers[name]}"
        self._names.add(free)
        return free

    def _scope(self, around: Surroundings) -> dict[str, Task]:
        return self.exit_tasks if around.exit_status else self._scopes[-1]

    def _place(self, task: Task, around: Surroundings) -> None:
        task.conditions = around.conditions
        self._scope(around)[task.name] = task
        if around.exit_status:
            task.conditions = (
                Condition(f"{{{{workflow.status}}}} == {around.exit_status}"),
                *task.conditions,
            )

    def _order(self, task: Task, around: Surroundings) -> None:
        if isinstance(around.dependencies, str):
            task.depends = around.dependencies
        elif around.dependencies is not None:
            task.after.update((str(name), None) for name in around.dependencies)
        elif around.chained:
            scope = self._scope(around)
            before = states._upstream_dag_task or ()
            task.after.update((name, None) for name in before if name != task.name and name in scope)

    def _chain_bare(self, task: Task, around: Surroundings) -> None:
        chain = self._chain(around)
        if around.dependencies is None and not around.chained:
            task.after.update((name, None) for name in chain.before(around.forks) if name != task.name)
        chain.then(task.name)

    def _note(self, task: Task, around: Surroundings) -> None:
        self._chain(around).beside(task.name, around.forks, () if task.conditions else task.needs)

    def _chain(self, around: Surroundings) -> Chain:
        return self._chains[id(self._scope(around))]

    def _wire(self, task: Task) -> None:
        self._adding = True
        try:
            update_step(task.template, None, task.name, None)
        finally:
            self._adding = False
