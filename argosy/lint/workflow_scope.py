"""`{{workflow.*}}`: names of the whole workflow, and when they are known.

A template that is called from elsewhere sees the caller's workflow, and a global output exists only after the
template that makes it was met. So the templates are walked in the order in which Argo's validator meets them:
from the entrypoint, then the exit handler, then whatever is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from argosy.lint.library import Library
from argosy.manifest.graph import Graph
from argosy.manifest.model import Call, Resource, Template, mapping, text
from argosy.manifest.tagged import AT_RUN_TIME, Tag, has_tag
from argosy.manifest.tree import Map, Path

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


@dataclass(frozen=True)
class Missing:
    """A tag that has no value, and from where in the linted resource its template is reached."""

    tag: Tag
    template: Template
    reached_from: Path | None  # None: the template is one of the resource's own


Visit = tuple[Template, Path | None]


class WorkflowScope:
    """Walks one resource; `missing` is what its tags of the whole workflow name in vain."""

    def __init__(self, resource: Resource, library: Library) -> None:
        self.resource, self.library = resource, library
        self.known = {f"workflow.{name}" for name in PLAIN}
        if resource.kind == "CronWorkflow":
            self.known |= {f"workflow.{name}" for name in FROM_CRON}
        self.missing: list[Missing] = []
        self._seen: set[tuple[int, int]] = set()
        self._any_output: set[str] = set()

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
        return list({(m.tag.path, m.tag.text): m for m in reversed(self.missing)}.values())[::-1]

    def _globals(self, spec: Resource) -> None:
        for resource in {id(r): r for r in (self.resource, spec)}.values():
            parameters = resource.parameters
            if parameters:
                self.known |= {"workflow.parameters", "workflow.parameters.json"}
            self.known |= {f"workflow.parameters.{p.name}" for p in parameters}
            if resource.spec.get("priority") is not None:
                self.known.add("workflow.priority")
            for kind, entry in _metadata(resource, own=resource is self.resource):
                self.known |= {f"workflow.{kind}.{key}" for key in entry}

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
            return
        for kind in ("parameters", "artifacts"):
            for output in template.entries("outputs", kind):
                name = text(output.body.get("globalName"))
                if has_tag(name):
                    self._any_output.add(f"workflow.outputs.{kind}.")
                elif name:
                    self.known.add(f"workflow.outputs.{kind}.{name}")

    def _scan(self, template: Template, path: Path, reached: Path | None) -> None:
        for tag in template.resource.tags.plain(path):
            if tag.text.startswith("workflow.") and not self._resolves(tag.text):
                self.missing.append(Missing(tag, template, reached))

    def _resolves(self, name: str) -> bool:
        if name in self.known or name.startswith((*AT_RUN_TIME, *self._any_output)):
            return True
        return self.resource.is_reusable and name.startswith("workflow.parameters")


def _metadata(resource: Resource, own: bool) -> Iterator[tuple[str, Map]]:
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
