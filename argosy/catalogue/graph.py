"""A drawing of a workflow, from its compiled manifest: tasks, their order, and which contains which."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from argosy.errors import ManifestError
from argosy.manifest.graph import Dependency, depends_on
from argosy.manifest.model import Call, Resource, Template, mapping, sequence, text
from argosy.manifest.parts import title_of

Shape = Literal["step", "approval", "external", "repeat", "group"]
# How a task waits for another: until it succeeded, until it failed, or until it is over, taken or not.
Way = Literal["success", "failure", "any"]
_TAG = re.compile(r"\"?'?\{\{=?\s*(?P<path>[^}]*?)\s*\}\}'?\"?")
_SOURCE = re.compile(r"\b(?:tasks|steps)\.([A-Za-z0-9_-]+)\.")
_FAILURES = {"Failed", "Errored", "Daemoned"}


@dataclass(frozen=True)
class Edge:
    """`target` waits for `source`, in one diagram."""

    source: str
    target: str
    way: Way = "success"


@dataclass(frozen=True)
class Node:
    """A task.

    Attributes:
        name: unique in its diagram; what is shown.
        detail: a second line: the image, what is looped over, which template is called.
        shape: what kind of task it is.
        when: its condition, in short words.
        when_sources: the tasks whose outputs the condition looks at.
        loop: it stands for one task an item.
        tint: tasks of one image have the same, the empty text has none.
        inside: the diagram of the template that it calls, if that is a DAG or steps.
    """

    name: str
    detail: str = ""
    shape: Shape = "step"
    when: str = ""
    when_sources: tuple[str, ...] = ()
    loop: str = ""
    tint: str = ""
    inside: "Diagram | None" = None


@dataclass(frozen=True)
class Diagram:
    """The tasks of one template; edges that others imply are left out."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    leaf: bool = False
    """Its template is no graph: the one node is the template itself."""


@dataclass(frozen=True)
class Drawing:
    """A workflow: its entrypoint, and what runs at its end."""

    title: str
    main: Diagram
    exit: Diagram | None = None
    tints: tuple[str, ...] = field(default=())


def without_implied(nodes: Sequence[Node], edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """The edges less those that a longer way between the same tasks implies.

    Those that wait for a failure, or for a task that may be skipped, say more than the order and stay; so do
    those along which a condition looks.
    """
    looks = {(source, node.name) for node in nodes for source in node.when_sources}
    after: dict[str, list[str]] = {node.name: [] for node in nodes}
    for edge in edges:
        after[edge.source].append(edge.target)
    reached = _reached(after)

    def implied(edge: Edge) -> bool:
        if edge.way != "success" or (edge.source, edge.target) in looks:
            return False
        return any(edge.target in reached[n] for n in after[edge.source] if n != edge.target)

    return tuple(e for e in edges if not implied(e))


def _reached(after: dict[str, list[str]]) -> dict[str, set[str]]:
    """All tasks that come after each."""
    found: dict[str, set[str]] = {}
    for start in after:
        seen: set[str] = set()
        stack = list(after[start])
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                stack += after[name]
        found[start] = seen
    return found


def sources_of(text: str) -> tuple[str, ...]:
    """The tasks whose outputs a condition looks at."""
    return tuple(dict.fromkeys(_SOURCE.findall(text)))


def short(text: str) -> str:
    """`{{tasks.promote.outputs.parameters.result}} == passed` is `result == passed`.

    A condition on several tasks says which: `promote.result == passed && check.result == passed`.
    """
    several = len(sources_of(text)) > 1

    def name(match: re.Match[str]) -> str:
        words = match["path"].split(".")
        if words[0] in ("tasks", "steps") and len(words) > 2:
            output = words[-1]
            return f"{words[1]}.{output}" if several else output
        return words[-1] if words[0] in ("inputs", "workflow") else match["path"]

    return " ".join(_TAG.sub(name, text).split())


def waits(depends: Iterable[Dependency]) -> dict[str, Way]:
    """The tasks that another depends on, and how each is waited for."""
    seen: dict[str, set[str]] = {}
    for one in depends:
        seen.setdefault(one.name, set()).add(one.result or "Succeeded")
    return {name: _way(statuses) for name, statuses in seen.items()}


def _way(statuses: set[str]) -> Way:
    if statuses <= _FAILURES:
        return "failure"
    return "success" if statuses == {"Succeeded"} else "any"


def read_drawing(manifest: Mapping[str, Any]) -> Drawing:
    """The drawing of a Workflow, a (Cluster)WorkflowTemplate or a CronWorkflow.

    Raises:
        ManifestError: it has no entrypoint of its own, or a task calls a template that is not there.
    """
    if not isinstance(manifest.get("spec"), Mapping):
        raise ManifestError("spec is not a mapping")
    resource, title = Resource.of(manifest), title_of(manifest)
    if not resource.entrypoint:
        raise ManifestError(f"{title} has no entrypoint; only a workflow can be drawn")
    reader = _Reader(resource)
    main = reader.diagram(resource.entrypoint, title, ())
    handler = text(resource.spec.get("onExit"))
    end = reader.diagram(handler, "on exit", ()) if handler else None
    return Drawing(title, main, end, tuple(reader.tints))


class _Reader:
    """Reads the templates of one resource."""

    def __init__(self, resource: Resource) -> None:
        self.templates = resource.by_name
        self.tints: dict[str, None] = {}

    def template(self, name: str) -> Template:
        """The template of that name."""
        if name not in self.templates:
            raise ManifestError(f"there is no template '{name}'")
        return self.templates[name]

    def diagram(self, name: str, title: str, around: tuple[str, ...]) -> Diagram:
        """The diagram of a template; `around` are the templates that it stands in."""
        template = self.template(name)
        around = (*around, name)
        if not template.is_graph:
            return Diagram(title, (self._leaf(name, template),), (), leaf=True)
        edges = _stages(template.calls) if template.type == "steps" else _edges(template.calls)
        nodes = {call.name: self._node(call, around) for call in template.calls}
        known = [e for e in edges if e.source in nodes]
        return Diagram(title, tuple(nodes.values()), without_implied(list(nodes.values()), known))

    def _node(self, call: Call, around: tuple[str, ...]) -> Node:
        when = str(call.get("when") or "")
        told: dict[str, Any] = {"when": short(when), "when_sources": sources_of(when), "loop": _loop(call)}
        if call.ref is not None:
            detail = f"{call.ref.name} / {call.ref.get('template')}"
            return Node(call.name, detail, "external", **told)
        template = call.inline or self.template(call.target)
        if not template.is_graph:
            return self._leaf(call.name, template, **told)
        if call.inline is not None:  # its own calls are not drawn
            return Node(call.name, **told)
        if call.target in around:
            return Node(call.name, f"repeats {call.target}", "repeat", **told)
        inside = self.diagram(call.target, call.name, around)
        return Node(call.name, shape="group", inside=inside, **told)

    def _leaf(self, name: str, template: Template, **told: Any) -> Node:
        shape: Shape = "approval" if template.type == "suspend" else "step"
        return Node(name, _detail(template), shape, tint=self._tint(template), **told)

    def _tint(self, template: Template) -> str:
        image = _image(template)
        if image:
            self.tints.setdefault(image)
        return image


def _edges(tasks: Iterable[Call]) -> list[Edge]:
    return [Edge(source, task.name, way) for task in tasks for source, way in waits(depends_on(task)).items()]


def _stages(steps: Iterable[Call]) -> list[Edge]:
    """Each stage of a `steps` template waits for the one before it."""
    groups = [list(group) for _, group in itertools.groupby(steps, lambda step: step.group)]
    pairs = itertools.pairwise(groups)
    return [Edge(a.name, b.name) for before, after in pairs for a in before for b in after]


def _loop(call: Call) -> str:
    if "withItems" in call.body:
        return f"for each of {len(sequence(call.get('withItems')))}"
    if "withParam" in call.body:
        return f"for each of {short(str(call.get('withParam')))}"
    return "for each of a sequence" if "withSequence" in call.body else ""


def _image(template: Template) -> str:
    """The image's name alone: neither registry nor tag."""
    image = str(template.get(template.type, "image") or "") if template.type else ""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _detail(template: Template) -> str:
    if template.type == "suspend":
        duration = template.get("suspend", "duration")
        return f"waits {duration}" if duration else "waits for approval"
    kind = "" if template.type in ("container", "script") else template.type
    limits = mapping(template.get(template.type, "resources", "limits")) if template.type else {}
    gpus = [f"{count} GPU" for name, count in limits.items() if name.endswith("/gpu")]
    return ", ".join([_image(template) or kind, *gpus])
