"""Which names a template may use: its own inputs, its pod, its loop, and what its steps or tasks give.

The rules are those of Argo's validator. Names of the whole workflow are looked at in `workflow_scope.py`,
because they depend on who calls the template.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from argosy.lint.library import Library, Target
from argosy.manifest.graph import Graph
from argosy.manifest.model import PODS, Call, Template, sequence
from argosy.manifest.tagged import NODE_NAMES, Tag
from argosy.manifest.tree import Map, Seq

ALWAYS = frozenset({"id", "startedAt", "finishedAt", "hostNodeName"})


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
