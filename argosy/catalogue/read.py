"""From a compiled manifest to a drawing."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from argosy.catalogue.graph import Diagram, Drawing, Edge, Node, Shape, Way, without_implied
from argosy.errors import ManifestError
from argosy.manifest.depends import references
from argosy.manifest.parts import title_of

_TAG = re.compile(r"\"?'?\{\{=?\s*(?P<path>[^}]*?)\s*\}\}'?\"?")
_SOURCE = re.compile(r"\b(?:tasks|steps)\.([A-Za-z0-9_-]+)\.")
_FAILURES = {"Failed", "Errored", "Daemoned"}


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


def waits(depends: str) -> dict[str, Way]:
    """The tasks of a `depends` expression, and how each is waited for."""
    seen: dict[str, set[str]] = {}
    for name, status in references(depends):
        seen.setdefault(name, set()).add(status or "Succeeded")
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
    spec = _mapping(manifest.get("spec"), "spec")
    spec = _mapping(spec.get("workflowSpec", spec), "spec.workflowSpec")
    title = title_of(manifest)
    if "entrypoint" not in spec:
        raise ManifestError(f"{title} has no entrypoint; only a workflow can be drawn")
    reader = _Reader(spec)
    main = reader.diagram(spec["entrypoint"], title, ())
    handler = reader.diagram(spec["onExit"], "on exit", ()) if spec.get("onExit") else None
    return Drawing(title, main, handler, tuple(reader.tints))


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ManifestError(f"{where} is not a mapping")
    return value


class _Reader:
    """Reads the templates of one spec."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        templates = [_mapping(t, "a template") for t in spec.get("templates") or ()]
        self.templates = {str(t.get("name")): t for t in templates}
        self.tints: dict[str, None] = {}

    def template(self, name: Any) -> Mapping[str, Any]:
        """The template of that name."""
        if name not in self.templates:
            raise ManifestError(f"there is no template '{name}'")
        return self.templates[name]

    def diagram(self, name: Any, title: str, around: tuple[str, ...]) -> Diagram:
        """The diagram of a template; `around` are the templates that it stands in."""
        template = self.template(name)
        around = (*around, str(name))
        if "dag" in template:
            calls = list(template["dag"].get("tasks") or ())
            edges = [e for call in calls for e in _edges(call)]
        elif "steps" in template:
            calls, edges = _stages(template["steps"] or ())
        else:
            calls, edges = [{"name": name, "template": name}], []
        nodes = {str(c["name"]): self._node(c, around) for c in calls}
        known = [e for e in edges if e.source in nodes]
        return Diagram(title, tuple(nodes.values()), without_implied(list(nodes.values()), known))

    def _node(self, call: Mapping[str, Any], around: tuple[str, ...]) -> Node:
        name, when = str(call["name"]), str(call.get("when") or "")
        told: dict[str, Any] = {"when": short(when), "when_sources": sources_of(when), "loop": _loop(call)}
        if "templateRef" in call:
            reference = call["templateRef"]
            detail = f"{reference.get('name')} / {reference.get('template')}"
            return Node(name, detail, "external", **told)
        template = call.get("inline") or self.template(call.get("template"))
        called = str(call.get("template", name))
        if called in around and ("dag" in template or "steps" in template):
            return Node(name, f"repeats {called}", "repeat", **told)
        if "inline" not in call and ("dag" in template or "steps" in template):
            return Node(name, shape="group", inside=self.diagram(called, name, around), **told)
        shape: Shape = "approval" if "suspend" in template else "step"
        return Node(name, _detail(template), shape, tint=self._tint(template), **told)

    def _tint(self, template: Mapping[str, Any]) -> str:
        image = _image(template)
        if image:
            self.tints.setdefault(image)
        return image


def _edges(call: Mapping[str, Any]) -> list[Edge]:
    found = waits(str(call.get("depends") or ""))
    found |= {str(n): "success" for n in call.get("dependencies") or ()}
    return [Edge(source, str(call["name"]), way) for source, way in found.items()]


def _stages(stages: Any) -> tuple[list[Mapping[str, Any]], list[Edge]]:
    """The calls of a `steps` template: each stage waits for the one before it."""
    groups = [list(stage) if isinstance(stage, list) else [stage] for stage in stages]
    edges = [
        Edge(str(a["name"]), str(b["name"]))
        for before, after in itertools.pairwise(groups)
        for a in before
        for b in after
    ]
    return [call for group in groups for call in group], edges


def _loop(call: Mapping[str, Any]) -> str:
    if "withItems" in call:
        return f"for each of {len(call['withItems'])}"
    if "withParam" in call:
        return f"for each of {short(str(call['withParam']))}"
    return "for each of a sequence" if "withSequence" in call else ""


def _image(template: Mapping[str, Any]) -> str:
    """The image's name alone: neither registry nor tag."""
    container = template.get("container") or template.get("script") or {}
    return str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[0]


def _detail(template: Mapping[str, Any]) -> str:
    if "suspend" in template:
        duration = (template["suspend"] or {}).get("duration")
        return f"waits {duration}" if duration else "waits for approval"
    kinds = ("http", "resource", "data", "containerSet", "plugin")
    container = template.get("container") or template.get("script") or {}
    limits = (container.get("resources") or {}).get("limits") or {}
    gpus = [f"{count} GPU" for name, count in limits.items() if name.endswith("/gpu")]
    return ", ".join([_image(template) or next((k for k in kinds if k in template), ""), *gpus])
