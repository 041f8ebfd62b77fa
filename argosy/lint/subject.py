"""The subject of a rule: one resource with everything that is worked out about it, once.

Which names a template may use: its own inputs, its pod, its loop, and what its steps or tasks give; and which
the whole workflow has, which depend on who calls the template. The rules are those of Argo's validator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from argosy.lint.library import Library, Target
from argosy.lint.schema import Defect
from argosy.manifest.graph import Graph
from argosy.manifest.model import PODS, Call, Entry, Resource, Template, mapping, sequence, text
from argosy.manifest.tagged import AT_RUN_TIME, NODE_NAMES, Tag, has_tag
from argosy.manifest.tree import Map, Path, Seq

ALWAYS = frozenset({"id", "startedAt", "finishedAt", "hostNodeName"})
PLAIN = [
    "name",
    "namespace",
    "mainEntrypoint",
    "serviceAccountName",
    "uid",
    "status",
    "annotations",
    "annotations.json",
    "labels",
    "labels.json",
]
# What a CronWorkflow adds to each workflow that it starts. Its own labels and annotations stay with it.
FROM_CRON = ("labels.workflows.argoproj.io/cron-workflow", "annotations.workflows.argoproj.io/scheduled-time")


class Subject:
    """A resource, the library it may refer to, and the analyses that several rules share."""

    def __init__(self, resource: Resource, library: Library, defects: Sequence[Defect] = ()) -> None:
        self.resource = resource
        self.library = library
        self.defects = defects
        """Where the object differs from Argo's schema."""
        self._scopes: dict[int, Scope] = {}

    @property
    def templates(self) -> list[Template]:
        """Every template, inline ones too."""
        return self.resource.all_templates

    @cached_property
    def calls(self) -> list[Call]:
        """Every step and task."""
        return [call for template in self.templates for call in template.calls]

    def target(self, call: Call) -> Target:
        """Where a call leads."""
        scope = self.scope(call.template)
        return scope.targets[call.name] if scope.calls.get(call.name) is call else self.library.resolve(call)

    def scope(self, template: Template) -> Scope:
        """The names that a template may use."""
        key = id(template)
        if key not in self._scopes:
            self._scopes[key] = Scope(template, self.library)
        return self._scopes[key]

    @cached_property
    def unresolved(self) -> list[Unresolved]:
        """Tags that nothing in their template gives a value to."""
        return [u for template in self.templates for u in self.scope(template).unresolved()]

    @cached_property
    def missing(self) -> list[Missing]:
        """Tags of the whole workflow that nothing gives a value to."""
        return WorkflowScope(self.resource, self.library).walk()

    def declared(self, kind: str, *places: str) -> Iterator[tuple[Template, str, Entry]]:
        """The parameters or artifacts of each template, with the place, `inputs` or `outputs`, of each."""
        for template in self.templates:
            for place in places:
                yield from ((template, place, entry) for entry in template.entries(place, kind))

    def arguments(self, kind: str) -> Iterator[tuple[Call | None, Entry]]:
        """The arguments of the workflow itself, and those of each call."""
        yield from ((None, entry) for entry in self.resource.spec.entries("arguments", kind))
        for call in self.calls:
            yield from ((call, entry) for entry in call.entries("arguments", kind))

    def ports(self, kind: str) -> Iterator[Entry]:
        """All of these."""
        yield from (entry for _, entry in self.arguments(kind))
        yield from (entry for _, _, entry in self.declared(kind, "inputs", "outputs"))


@dataclass(frozen=True)
class Unresolved:
    """A tag that nothing gives a value to, and the step or task in which it stands, if any."""

    tag: Tag
    template: Template
    call: Call | None = None


class Scope:
    """The names of one template."""

    def __init__(self, template: Template, library: Library) -> None:
        self.template = template
        self.library = library
        self.tags = template.resource.tags

    @cached_property
    def inputs(self) -> set[str]:
        """`inputs.*` names of the template; one that is written in a call has those around it, too."""
        names, caller = input_names(self.template), self.template.caller
        while caller is not None:
            names |= {n for n in input_names(caller.template) if n.startswith("inputs.parameters")}
            caller = caller.template.caller
        return names

    @cached_property
    def calls(self) -> dict[str, Call]:
        """Its steps or tasks by name."""
        return {c.name: c for c in self.template.calls}

    @cached_property
    def targets(self) -> dict[str, Target]:
        """Where each step or task leads."""
        return {name: self.library.resolve(call) for name, call in self.calls.items()}

    @cached_property
    def graph(self) -> Graph:
        """The graph of a DAG."""
        return Graph(self.template)

    def gives(self, name: str, rest: str) -> bool:
        """True if a reference to `rest` of step or task `name` can be resolved, order aside."""
        target = self.targets[name]
        if target.unknown or (target.template is None and not target.dynamic):
            return True  # reported elsewhere, or not to be known
        return rest in self.outputs(name)

    def outputs(self, name: str) -> set[str]:
        """The outputs of a step or task: `outputs.result`, `ip`, ..."""
        call, template = self.calls[name], self.targets[name].template
        if template is None:
            return set(ALWAYS)
        looped = "withItems" in call.loops or "withParam" in call.loops
        return call_outputs(template, looped)

    def unresolved(self) -> Iterator[Unresolved]:
        """Every tag of the template that Argo would fail to resolve; not those of the whole workflow."""
        if self.template.type == "steps":
            yield from self._steps()
        elif self.template.type == "dag":
            yield from self._dag()
        elif self.template.types:
            for tag in self.tags.plain(self.template.path):
                # Inputs of an inline template are looked at together with the call that it is written in.
                inline = self.template.caller is not None and tag.text.startswith(("inputs.", "pod."))
                if not inline and not self._own(tag):
                    yield Unresolved(tag, self.template)

    def _own(self, tag: Tag, items: set[str] | None = None) -> bool:
        """True if the tag needs no step or task: inputs, outputs, pod, loop items."""
        name = tag.text
        if name.startswith(("outputs.", "workflow.", *NODE_NAMES)):
            return True
        if name.startswith("item.") and items:
            return name in items or "item.*" in items
        if name == "pod.name":
            return self.template.type in PODS
        return name in self.inputs

    def _steps(self) -> Iterator[Unresolved]:
        seen: set[str] = set()
        items: set[str] = set()
        for call in self.template.calls:
            items |= item_names(call)
            inline = _inline_inputs(call)
            for tag in self.tags.plain(call.path):
                if self._own(tag, items) or tag.text in inline or self._step(tag, call, seen):
                    continue
                yield Unresolved(tag, self.template, call)
            seen.add(call.name)
        yield from self._after(lambda tag: self._own(tag, items) or self._step(tag, None, seen))

    def _step(self, tag: Tag, call: Call | None, seen: set[str]) -> bool:
        prefix, name, rest = _reference(tag)
        if prefix != "steps" or name not in self.calls:
            return False
        itself = call is not None and name == call.name
        if rest == "status":
            return itself or name in seen
        if itself and call is not None and not call.has_exit_hook:
            return False
        return (itself or name in seen) and self.gives(name, rest)

    def _dag(self) -> Iterator[Unresolved]:
        hooked: set[str] = set()
        for name in self.graph.order:
            call = self.calls[name]
            if call.hooks:
                hooked.add(name)
            items, inline = item_names(call), _inline_inputs(call)
            for tag in self.tags.plain(call.path):
                if self._own(tag, items) or tag.text in inline or self._task(tag, name, hooked):
                    continue
                yield Unresolved(tag, self.template, call)
        for tag in self.tags.plain(self.template.at("dag", "target")):
            if not self._own(tag):
                yield Unresolved(tag, self.template)
        yield from self._after(lambda tag: self._own(tag) or self._task(tag, None, hooked))

    def _task(self, tag: Tag, user: str | None, hooked: set[str]) -> bool:
        prefix, name, rest = _reference(tag)
        if prefix != "tasks" or name not in self.calls:
            return False
        if rest == "status":
            return name in hooked or (user is not None and self.graph.is_ancestor(name, user))
        return self.gives(name, rest)

    def _after(self, known: Callable[[Tag], bool]) -> Iterator[Unresolved]:
        for tag in self.tags.plain(self.template.at("outputs")):
            if not known(tag):
                yield Unresolved(tag, self.template)


def input_names(template: Template) -> set[str]:
    """The `inputs.*` names that a template declares."""
    parameters = {f"inputs.parameters.{p.name}" for p in template.entries("inputs", "parameters")}
    artifacts = [f"inputs.artifacts.{a.name}" for a in template.entries("inputs", "artifacts")]
    paths = {f"{a}.path" for a in artifacts} if template.is_leaf else set()
    return parameters | ({"inputs.parameters"} if parameters else set()) | set(artifacts) | paths


def call_outputs(template: Template, looped: bool) -> set[str]:
    """The outputs that a template gives its caller; `looped` if it is called once for each item."""
    names = set(ALWAYS)
    if template.body.get("daemon") is True:
        names.add("ip")
    if gives_result(template):
        names |= {"outputs.result", "exitCode"}
    names |= {f"outputs.parameters.{p.name}" for p in template.entries("outputs", "parameters")}
    names |= {f"outputs.artifacts.{a.name}" for a in template.entries("outputs", "artifacts")}
    if looped:
        names.add("outputs.parameters")
        if template.type == "containerSet":
            names |= {"outputs.result", "exitCode"}
    return names


def gives_result(template: Template) -> bool:
    """True if the template ends with a result and an exit code."""
    if template.type == "containerSet":
        return any(c.name == "main" for c in template.entries("containerSet", "containers"))
    return template.type in ("container", "script", "data", "http", "plugin")


def item_names(call: Call) -> set[str]:
    """The `item.*` names of a call's loop; `item.*` itself stands for any."""
    if "withParam" in call.loops:
        return {"item.*"}
    names: set[str] = set()
    for item in sequence(call.body.get("withItems")):
        if isinstance(item, Map):
            names |= {f"item.{k}" for k in item}
        elif isinstance(item, Seq):
            names |= {f"item.[{i}]" for i in range(len(item))}
    return names


def _inline_inputs(call: Call) -> set[str]:
    if call.inline is None:
        return set()
    return {f"inputs.parameters.{p.name}" for p in call.inline.entries("inputs", "parameters")}


def _reference(tag: Tag) -> tuple[str, str, str]:
    prefix, _, rest = tag.text.partition(".")
    name, _, rest = rest.partition(".")
    return prefix, name, rest


@dataclass(frozen=True)
class Missing:
    """A tag that has no value, whose it is, and from where in the linted resource that is reached."""

    tag: Tag
    resource: Resource
    reached_from: Path | None  # None: it is the resource's own


Visit = tuple[Template, Path | None]


class WorkflowScope:
    """Walks one resource; `missing` is what its tags of the whole workflow name in vain.

    A template that is called from elsewhere sees the caller's workflow, and a global output exists only after
    the template that makes it was met. So the templates are walked in the order in which Argo's validator
    meets them: from the entrypoint, then the exit handler, then whatever is left.
    """

    def __init__(self, resource: Resource, library: Library) -> None:
        self.resource, self.library = resource, library
        self.known = {f"workflow.{name}" for name in PLAIN}
        if resource.kind == "CronWorkflow":
            self.known |= {f"workflow.{name}" for name in FROM_CRON}
        self.missing: list[Missing] = []
        self._seen: set[tuple[int, int]] = set()
        self._any_output: set[str] = set()
        self._outputs_known = True  # False: templates may give global outputs of any name

    def walk(self) -> list[Missing]:
        """The missing names, in the order in which they are met, each place once."""
        spec, reached = self.resource, None
        if (ref := self.resource.template_ref) is not None:
            found = self.library.resource(ref, self.resource)
            if found is None:
                return []
            spec, reached = found, ref.path
        self._globals(spec)
        self._enter(spec, text(self.resource.spec.get("entrypoint")) or spec.entrypoint, reached)
        handler = text(self.resource.spec.get("onExit")) or text(spec.spec.get("onExit"))
        if handler:
            self.known.add("workflow.failures")
            if self._dynamic_artifacts(spec):
                self._any_output.add("workflow.outputs.artifacts.")
            self._enter(spec, handler, reached)
        for template in spec.templates:
            self._run(template, reached)
        for resource, place in ((self.resource, None), *([(spec, reached)] if reached else [])):
            self._settings(resource, place)
        return list({(m.tag.path, m.tag.text): m for m in reversed(self.missing)}.values())[::-1]

    def _globals(self, spec: Resource) -> None:
        for resource in {id(r): r for r in (self.resource, spec)}.values():
            parameters = resource.parameters
            if parameters:
                self.known |= {"workflow.parameters", "workflow.parameters.json"}
            self.known |= {f"workflow.parameters.{p.name}" for p in parameters}
            if resource.spec.get("priority") is not None:
                self.known.add("workflow.priority")
            for kind, entry in _workflow_metadata(resource, own=resource is self.resource):
                self.known |= {f"workflow.{kind}.{key}" for key in entry}

    def _settings(self, resource: Resource, reached: Path | None) -> None:
        """Looks at the fields beside the templates, which Argo fills in as the workflow goes on."""
        for template in resource.all_templates:
            self._outputs(template)
        for place in resource.settings:
            always = ("workflow.failures",) if place[-1] == "hooks" else ()
            for tag in resource.tags.plain(place):
                later = not self._outputs_known and tag.text.startswith("workflow.outputs.")
                if not later and tag.text not in always:
                    self._look(tag, resource, reached)

    def _dynamic_artifacts(self, spec: Resource) -> bool:
        artifacts = (a for t in spec.templates for a in t.entries("outputs", "artifacts"))
        return any(has_tag(a.body.get("globalName")) for a in artifacts)

    def _enter(self, spec: Resource, name: str, reached: Path | None) -> None:
        if name in spec.by_name:
            self._run(spec.by_name[name], reached)

    def _run(self, template: Template, reached: Path | None) -> None:
        """Walk a template and all it calls. With a stack of our own: templates may nest a thousand deep."""
        stack = [self._template(template, reached)]
        while stack:
            visit = next(stack[-1], None)
            if visit is None:
                stack.pop()
            else:
                stack.append(self._template(*visit))

    def _template(self, template: Template, reached: Path | None) -> Iterator[Visit]:
        key = (id(template.resource), id(template.body))
        if key in self._seen:
            return
        self._seen.add(key)
        if not template.is_graph:
            self._scan(template, template.path, reached)
            return
        before = set(self._any_output)
        yield from (
            self._steps(template, reached) if template.type == "steps" else self._dag(template, reached)
        )
        self._scan(template, template.at("outputs"), reached)
        self._any_output = before  # what is known only at run time is known to this template alone

    def _steps(self, template: Template, reached: Path | None) -> Iterator[Visit]:
        for call in template.calls:
            callee = self.library.resolve(call).template
            yield from _visit(call, callee, reached)
            if call.has_exit_hook:
                self._outputs(callee)
            self._scan(template, call.path, reached)
            self._outputs(callee)

    def _dag(self, template: Template, reached: Path | None) -> Iterator[Visit]:
        graph = Graph(template)
        for name in graph.order:
            call = graph.tasks[name]
            callee = self.library.resolve(call).template
            yield from _visit(call, callee, reached)
            self._outputs(callee)
        for call in template.calls:
            self._scan(template, call.path, reached)
        self._scan(template, template.at("dag", "target"), reached)

    def _outputs(self, template: Template | None) -> None:
        if template is None:
            self._outputs_known = False
            return
        for kind in ("parameters", "artifacts"):
            for output in template.entries("outputs", kind):
                name = text(output.body.get("globalName"))
                if has_tag(name):
                    self._outputs_known = False
                    self._any_output.add(f"workflow.outputs.{kind}.")
                elif name:
                    self.known.add(f"workflow.outputs.{kind}.{name}")

    def _scan(self, template: Template, path: Path, reached: Path | None) -> None:
        for tag in template.resource.tags.plain(path):
            self._look(tag, template.resource, reached)

    def _look(self, tag: Tag, resource: Resource, reached: Path | None) -> None:
        if tag.text.startswith("workflow.") and not self._resolves(tag.text):
            self.missing.append(Missing(tag, resource, reached))

    def _resolves(self, name: str) -> bool:
        if name in self.known or name.startswith((*AT_RUN_TIME, *self._any_output)):
            return True
        return self.resource.is_reusable and name.startswith("workflow.parameters")


def _workflow_metadata(resource: Resource, own: bool) -> Iterator[tuple[str, Map]]:
    if own and resource.kind != "CronWorkflow":
        yield "labels", mapping(resource.metadata.get("labels"))
        yield "annotations", mapping(resource.metadata.get("annotations"))
    outer = mapping(resource.body.get("spec")) if resource.kind == "CronWorkflow" else None
    for metadata in (resource.spec.get("workflowMetadata"), outer and outer.get("workflowMetadata")):
        yield "labels", mapping(mapping(metadata).get("labels"))
        yield "labels", mapping(mapping(metadata).get("labelsFrom"))
        yield "annotations", mapping(mapping(metadata).get("annotations"))


def _visit(call: Call, callee: Template | None, reached: Path | None) -> Iterator[Visit]:
    if callee is not None:
        leaves = reached is None and call.ref is not None and call.inline is None
        yield callee, call.at("templateRef") if leaves else reached
