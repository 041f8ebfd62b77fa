"""One composition: the user's Couler program runs once, and its tasks and templates are collected."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import couler.argo as couler
from couler.core import states
from couler.core.step_update_utils import update_step

from argosy.compose.binding import Arguments, bind, refuse_borrowed
from argosy.compose.couler_state import ManifestCollector, fresh_couler
from argosy.compose.couler_steps import couler_task
from argosy.compose.ending import EVERY_END
from argosy.compose.loops import (
    Group,
    last_handle,
    loop_handle,
    looped_over,
    names_used,
    own_item,
    read_items,
    returned_outputs,
    stand_ins,
)
from argosy.compose.placeholders import explained, nothing_swallowed
from argosy.compose.references import TaskHandle
from argosy.compose.surroundings import (
    Chain,
    RenderedTemplate,
    Surroundings,
    Templates,
    compose_body,
    read_surroundings,
)
from argosy.compose.tag_text import made
from argosy.compose.tags import names_in, tasks_in
from argosy.compose.tasks import Condition, Task
from argosy.declare.component import Component, composing
from argosy.declare.groups import spread
from argosy.declare.source import call_site, left_at
from argosy.errors import ComposeError
from argosy.manifest.parts import spec_of


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
        made.clear()
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
        # Steps of Couler's own, with what they call.
        self._drawn: dict[str, Any] = {}
        self._adding = False
        # The DAG that tasks go into, innermost last.
        self._scopes: list[dict[str, Task]] = [self.tasks]
        # The handles that each of these made: a loop's are of one item, and read in its body alone.
        self._handles: list[list[TaskHandle]] = [[]]
        self._chains: defaultdict[int, Chain] = defaultdict(Chain)
        self._loops = 0
        self._open: list[int] = []  # the loops whose bodies are being composed, innermost last
        self._looked_at: set[tuple[str, str]] = set()
        self._uncalled: list[tuple[list[Any], str]] = []

    @classmethod
    def of(cls, program: Callable[[], Any]) -> "Composition":
        """Run `program` once and collect what it composes.

        Raises:
            ComposeError: the program calls a component or uses an output wrongly.
        """
        composition = cls()
        with fresh_couler(composition), composing(composition):
            try:
                with nothing_swallowed():
                    composition.result = program()
            except SystemExit as end:
                raise ComposeError(left_at(end, "the pipeline is composed; write 'return'")) from end
            except Exception as error:
                if mistake := explained(error):
                    raise mistake from error
                raise
            composition.check_calls()
            collector = ManifestCollector()
            couler.run(submitter=collector)
        composition.manifest = collector.manifest
        composition._chains.clear()
        return composition

    @property
    def components(self) -> dict[str, Component[Any, Any]]:
        """The components that the program calls, by the names of their templates."""
        return self._templates.components

    @property
    def rendered(self) -> list[tuple[Component[Any, Any], dict[str, Any]]]:
        """These components, each with its template."""
        return self._templates.rendered

    @property
    def spec(self) -> dict[str, Any]:
        """Couler's own workflow spec, also where `config_workflow` made a CronWorkflow of it."""
        return spec_of(self.manifest)

    def call(
        self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> TaskHandle:
        """Add the task of one call and return the handle of its outputs."""
        site = call_site()
        around = read_surroundings()
        if len(self._scopes) > 1:
            _refuse_one_place_for_all(component, site)
        arguments = bind(component.interface, *_ungrouped(component, args, kwargs, site), site)
        # `couler.dag` names a node once for each edge: the same call there is the same task.
        identity = (component.interface.name, str(arguments)) if "dag" in around.verbs else None
        handle = self._calls.get(identity)
        if handle is None:
            handle = self._add(component, arguments, around, site)
            self._handles[-1].append(handle)
        if identity:
            self._calls[identity] = handle
        task = self._scope(around)[str(handle)]
        self._order(task, around)
        self._note(task, around)
        self._wire(task)
        return handle

    def check_options(self, name: str, options: Mapping[str, Any], site: str) -> None:
        """Raise ComposeError for options that hold a value of the pipeline, or may do so."""
        refuse_borrowed(name, options, site)

    def expect_call(self, uncalled: list[Any], site: str) -> None:
        """Remember what the program makes and has to call."""
        self._uncalled.append((uncalled, site))

    def check_calls(self) -> None:
        """Raise ComposeError for an approval that was made and never called: nothing would wait for it."""
        for uncalled, site in self._uncalled:
            for approval in uncalled:
                name = approval.interface.name
                raise ComposeError(
                    f"{site}: the approval '{name}' is made, and never called: write "
                    f"approval('{name}')(), or give "
                    "it to couler.set_dependencies"
                )

    def _add(
        self, component: Component[Any, Any], arguments: Arguments, around: Surroundings, site: str
    ) -> TaskHandle:
        template = self._templates.add(component)
        looked_at = (template, component.interface.name)
        if component.template_ref is None and looked_at not in self._looked_at:
            own = [port.argo_name for port in component.interface.inputs]
            refuse_borrowed(component.interface.name, self._templates.rendered_as(template), site, own)
            self._looked_at.add(looked_at)
        task = Task(
            name=self._free_name(component.interface.name),
            template=template,
            site=site,
            parameters=arguments.parameters,
            artifacts=arguments.artifacts,
            optional=arguments.optional,
            needs=arguments.needs,
        )
        self._place(task, around)
        return TaskHandle.of_ports(task.name, task.template, component.interface.outputs)

    def on_couler_task(self, name: str, entry: dict[str, Any]) -> None:
        """Couler has put a task into its table: one of our own, or one of its own steps."""
        if self._adding:
            return
        around = read_surroundings()
        task = self._scope(around).get(name)
        if task is None:
            task = couler_task(name, entry, states.workflow.get_template(entry["template"]), call_site())
            task.bare = True
            self._names.add(name)
            self._place(task, around)
        self._order(task, around)
        self._chain_bare(task, around)

    def name_couler_step(self, name: str, called: Any) -> str:
        """The name of a task for one of Couler's own steps; `called` is what it calls, and with what.

        In a DAG that the user draws it is the step's own, as often as that is named.  Elsewhere each call is
        a task of its own.

        Raises:
            ComposeError: the DAG has another step of that name.
        """
        around = read_surroundings()
        if not ("dag" in around.verbs or "set_dependencies" in around.verbs):
            name = self._free_name(name)
        elif name in self._names and self._drawn.get(name) != called:
            raise ComposeError(
                f"{call_site()}: there is a step '{name}' already, with another program or other arguments, "
                "and in a graph a name stands for one step: give this one a step_name of its own"
            )
        self._drawn[name] = called
        return name

    def map(self, function: Callable[..., Any], *lists: Any) -> TaskHandle:
        """`couler.map`: add the task of a loop, and return the handle of what its items put out."""
        site = call_site()
        items = looped_over(lists)
        self._loops += 1
        number = self._loops
        self._open.append(number)
        try:
            body, result, made_in = self._compose_body(
                function, stand_ins(lists, items, number), "couler.map", site
            )
        finally:
            self._open.pop()
        group = None
        task = next(iter(body.values()))
        bare = task.bare
        if len(body) > 1 or task.conditions or task.items:
            group = self._group("map", number, body)
            task = group.call(site)
        task.parameters = {n: own_item(t, number) for n, t in task.parameters.items()}
        task.items = read_items(items, names_used(task))
        for text in _texts_of(task.items):
            task.needs.update(dict.fromkeys(tasks_in(text)))
        handle = loop_handle(task, body, group, returned_outputs(result, site))
        self._add_loop(task, bare)
        return self._ended(handle, made_in, "couler.map")

    def exec_while(self, condition: dict[str, Any], function: Callable[..., Any]) -> TaskHandle:
        """`couler.exec_while`: add the task of a repetition, and return the handle of its last round."""
        site = call_site()
        self._loops += 1
        body, result, made_in = self._compose_body(function, [], "couler.exec_while", site)
        bare = next(iter(body.values())).bare
        group = self._group("while", self._loops, body)
        steps = dict(body)
        returned = returned_outputs(result, site)
        group.repeat_while(condition, next(iter(returned.values()), None), site)
        task = group.call(site)
        self._add_loop(task, bare)
        return self._ended(last_handle(task, steps, group, returned), made_in, "couler.exec_while")

    def _ended(self, handle: TaskHandle, made_in: list[TaskHandle], verb: str) -> TaskHandle:
        """The handle of a loop that is complete: outside of its body that one is read, and no other."""
        for inner in made_in:
            inner._leave(verb)
        self._handles[-1].append(handle)
        return handle

    def _compose_body(
        self, function: Callable[..., Any], items: list[Any], verb: str, site: str
    ) -> tuple[dict[str, Task], Any, list[TaskHandle]]:
        """The tasks of a loop's body, the result that it returns, and the handles made in it."""
        if not callable(function):
            raise ComposeError(f"{site}: {verb} takes a function that calls the steps, got {function!r}")
        body: dict[str, Task] = {}
        self._scopes.append(body)
        self._handles.append([])
        try:
            result = compose_body(function, *items)
        finally:
            self._scopes.pop()
            self._chains.pop(id(body), None)  # Python may give the number to the next loop's body
            made_in = self._handles.pop()
        if not body:
            raise ComposeError(
                f"{site}: the body of {verb} calls no step; call a component in it, lambda item: step(item)"
            )
        return body, result, made_in

    def _add_loop(self, task: Task, bare: bool) -> None:
        around = read_surroundings()
        self._place(task, around)
        self._order(task, around)
        if bare:
            self._chain_bare(task, around)
        else:
            self._note(task, around)

    def _group(self, prefix: str, number: int, body: dict[str, Task]) -> Group:
        base = f"{prefix}-{next(iter(body))}"
        name = self._free_name(base)
        while states.workflow.get_template(name) is not None:
            name = self._free_name(base)
        group = Group(name, number, body)
        states.workflow.add_template(RenderedTemplate({"name": name, "dag": {}}))  # keeps the name
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
        scope = self._scope(around)
        # A loop under a condition that does not hold is done, with nothing gathered: who reads what it
        # gathers stands under the condition, too.
        loops = [scope[name] for name in task.needs if name in scope and scope[name].items]
        gathered = dict.fromkeys(c for loop in loops for c in loop.conditions)
        task.conditions = tuple(dict.fromkeys([*around.conditions, *gathered]))
        scope[task.name] = task
        if around.exit_status and around.exit_status != EVERY_END:
            task.conditions = (
                Condition(f"{{{{workflow.status}}}} == {around.exit_status}"),
                *task.conditions,
            )
        if self._loops:
            for text in _all_texts(task):
                self._refuse_items_outside(text, task)

    def _refuse_items_outside(self, text: str, task: Task) -> None:
        """An item stands for something in its loop's body alone."""
        for name in names_in(text) if "loops." in text else ():
            words = name.split(".")
            if words[0] == "loops" and int(words[1]) not in self._open:
                raise ComposeError(
                    f"{task.site}: '{task.name}' takes the item of a couler.map outside of its body; call it "
                    "in the body, or give it what couler.map returns"
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


def _all_texts(task: Task) -> Iterator[str]:
    yield from (*task.parameters.values(), *task.artifacts.values(), *(c.text for c in task.conditions))
    yield from _texts_of(task.items)


def _texts_of(items: Any) -> Iterator[str]:
    """The texts of `withItems` or `withParam`, which may hold tags."""
    if isinstance(items, str):
        yield items
    elif isinstance(items, (list, dict)):
        for part in items.values() if isinstance(items, dict) else items:
            yield from _texts_of(part)


def _ungrouped(
    component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any], site: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call's arguments, with each parameter group as the inputs that it stands for."""
    if not component.groups:
        return args, kwargs
    try:
        return spread(component.groups, tuple(inspect.signature(component).parameters), args, kwargs)
    except TypeError as error:
        raise ComposeError(f"{site}: {component.interface.name}(): {error}") from None


def _refuse_one_place_for_all(component: Component[Any, Any], site: str) -> None:
    """In a loop each item needs a place of its own for its files, or the last one overwrites the others."""
    for port in component.interface.outputs:
        key = port.stored.key if port.stored else None
        if (key and "{{" not in key) or (port.stored and port.stored.global_name):
            what = f"the key {key!r}" if key and "{{" not in key else f"the name {port.stored.global_name!r}"  # type: ignore[union-attr]
            raise ComposeError(
                f"{site}: {component.interface.name}() is called in a loop, and each item would keep the "
                f"output '{port.name}' under {what}; put {{{{pod.name}}}} into the key, or leave it out"
            )
