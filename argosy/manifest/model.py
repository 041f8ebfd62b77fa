"""Views of a manifest: resources, templates, calls. They read anything, however wrong, and never raise.

A view holds the mapping it looks at and the path to it, so that a rule can say where something is wrong.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from argosy.manifest.reading import Document
from argosy.manifest.scalars import as_text
from argosy.manifest.tagged import PREFIXES, Tag, fill_nested, split, walk
from argosy.manifest.tree import Map, Path, Seq, marked

LOCATIONS = ("artifactory", "azure", "git", "gcs", "hdfs", "http", "oss", "raw", "s3")
EMPTY = Map()


def mapping(value: Any) -> Map:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Map) else EMPTY


def sequence(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, Seq) else []


def texts(value: Any) -> list[str]:
    """The strings of a list; whatever else it holds is the schema's to report."""
    return [item for item in sequence(value) if isinstance(item, str)]


def text(value: Any) -> str:
    """The value if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, eq=False)
class Entry:
    """A mapping somewhere in the manifest: a parameter, an artifact, a hook, a container."""

    path: Path
    body: Map

    @property
    def name(self) -> str:
        """Its `name`, as Argo reads it."""
        name = self.body.get("name")
        return "" if name is None or isinstance(name, Map | Seq) else str(name)

    def get(self, *keys: str) -> Any:
        """The value under nested keys, or None."""
        node: Any = self.body
        for key in keys:
            node = mapping(node).get(key)
        return node

    def at(self, *keys: str | int) -> Path:
        """The path below this entry."""
        return (*self.path, *keys)

    def entries(self, *keys: str) -> "list[Entry]":
        """The mappings of the list under `keys`; found once, for many rules ask."""
        known: dict[tuple[str, ...], list[Entry]] = self.__dict__.setdefault("_entries", {})
        if keys not in known:
            known[keys] = self._find(keys)
        return known[keys]

    def _find(self, keys: tuple[str, ...]) -> "list[Entry]":
        node: Any = self.body
        for key in keys:
            node = mapping(node).get(key)
        return [Entry((*self.path, *keys, i), x) for i, x in enumerate(sequence(node)) if isinstance(x, Map)]


def _values(parameters: Iterable[Entry]) -> dict[str, str]:
    """The values of those parameters that have one, by name."""
    given = ((p.name, p.body.get("value")) for p in parameters)
    return {name: as_text(value) for name, value in given if isinstance(value, str | int | float)}


def has_location(entry: Entry) -> bool:
    """True if the artifact says where it is, or at least under which key (Argo completes the rest)."""
    for kind in LOCATIONS:
        place = entry.body.get(kind)
        if isinstance(place, Map):
            return _placed(kind, place)
    return isinstance(entry.body.get("plugin"), Map)


def _placed(kind: str, place: Map) -> bool:
    if kind == "raw":
        return True
    if kind == "hdfs":
        return bool(place.get("addresses")) or bool(place.get("path"))
    key = {"artifactory": "url", "azure": "blob", "git": "repo", "http": "url"}.get(kind, "key")
    return bool(place.get(key))


_INNERMOST = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def within(tag: Tag) -> list[str]:
    """The names of the tags within a tag; Argo replaces those first."""
    return _INNERMOST.findall(tag.text)


class TagIndex:
    """Tags below each of the given places, in order of writing; `texts` are the strings that hold any.

    A tag within a tag is filled in where its value is known, anywhere (`known`) or below a place (`within`).
    Then the outer one has a name to look up.
    """

    def __init__(
        self,
        root: Map,
        places: Iterable[Path],
        known: Mapping[str, str],
        within: Mapping[Path, Mapping[str, str]],
    ) -> None:
        self.texts: list[tuple[str, Path]] = list(walk(root, ()))
        own = {place: {**known, **values} for place, values in within.items()}
        depth = max(map(len, own), default=0)
        filled = ((fill_nested(value, own.get(path[:depth], known)), path) for value, path in self.texts)
        self.tags = [Tag(inner, path, e) for value, path in filled for inner, e in split(value)]
        wanted = set(places)
        lengths = sorted({len(p) for p in wanted})
        self._below: dict[Path, list[Tag]] = defaultdict(list)
        for tag in self.tags:
            for length in lengths:
                if (place := tag.path[:length]) in wanted:
                    self._below[place].append(tag)

    def below(self, place: Path) -> list[Tag]:
        """Every tag below a place."""
        return self._below.get(place, [])

    def plain(self, place: Path) -> list[Tag]:
        """The tags below a place that Argo must resolve: no expressions, nobody else's tags.

        Of a tag in whose name others stand, those.
        """
        tags = (t for t in self._below.get(place, ()) if not t.expression and t.text.startswith(PREFIXES))
        inner = (replace(tag, text=name) for tag in tags for name in within(tag) or [tag.text])
        return [tag for tag in inner if tag.text.startswith(PREFIXES)]


LEAVES = ("container", "containerSet", "script", "resource", "data", "http", "plugin")
TYPES = (
    "container",
    "containerSet",
    "steps",
    "dag",
    "script",
    "resource",
    "data",
    "suspend",
    "http",
    "plugin",
)
PODS = ("container", "containerSet", "script", "resource", "data")


class Resource(Entry):
    """A Workflow, WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow; `body` is the whole object."""

    document: Document

    def __init__(self, document: Document) -> None:
        super().__init__((), document.root)
        object.__setattr__(self, "document", document)

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Resource":
        """A resource of plain data, which no file holds."""
        return cls(Document("", marked(dict(manifest))))

    @property
    def kind(self) -> str:
        """One of the four kinds."""
        return self.document.kind

    @property
    def metadata(self) -> Entry:
        """The object's metadata."""
        return Entry(("metadata",), mapping(self.body.get("metadata")))

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def is_reusable(self) -> bool:
        """True for the two kinds of template: what they lack, their caller may supply."""
        return self.kind in ("WorkflowTemplate", "ClusterWorkflowTemplate")

    @cached_property
    def spec(self) -> Entry:
        """The workflow's spec: of a CronWorkflow, spec.workflowSpec."""
        outer = mapping(self.body.get("spec"))
        if self.kind == "CronWorkflow":
            return Entry(("spec", "workflowSpec"), mapping(outer.get("workflowSpec")))
        return Entry(("spec",), outer)

    @cached_property
    def templates(self) -> "list[Template]":
        """The templates of the spec, in order."""
        return [Template(e.path, e.body, self) for e in self.spec.entries("templates")]

    @cached_property
    def all_templates(self) -> "list[Template]":
        """The templates and, after each, the inline templates of its calls."""
        return [t for template in self.templates for t in template.with_inline()]

    @cached_property
    def by_name(self) -> "dict[str, Template]":
        """Templates by name; the first of a name wins."""
        found: dict[str, Template] = {}
        for template in self.templates:
            found.setdefault(template.name, template)
        return found

    @cached_property
    def tags(self) -> TagIndex:
        """Its tags, by template, call and outputs, and by each field of the spec beside the templates."""
        places = list(self.settings)
        for template in self.all_templates:
            places += [template.path, template.at("outputs"), template.at("dag", "target")]
            places += [call.path for call in template.calls]
        return TagIndex(self.body, places, self.values, self._entered)

    @property
    def settings(self) -> list[Path]:
        """The fields of the spec but for the templates: Argo replaces the tags in all of them."""
        return [self.spec.at(key) for key in self.spec.body if key != "templates"]

    @cached_property
    def values(self) -> dict[str, str]:
        """The workflow's parameters that have a value, by the names of their tags."""
        return {f"workflow.parameters.{name}": value for name, value in _values(self.parameters).items()}

    @property
    def _entered(self) -> dict[Path, dict[str, str]]:
        """The inputs of the entrypoint and of the exit handler: the workflow's parameters, by their names."""
        found: dict[Path, dict[str, str]] = {}
        for name in {self.entrypoint, text(self.spec.body.get("onExit"))} & self.by_name.keys():
            inputs = self.by_name[name].entries("inputs", "parameters")
            values = _values(inputs) | _values(self.parameters)
            known = {f"inputs.parameters.{p.name}": values[p.name] for p in inputs if p.name in values}
            found[self.by_name[name].path] = known
        return found

    @property
    def template_ref(self) -> Entry | None:
        """spec.workflowTemplateRef, if there is one."""
        ref = self.spec.body.get("workflowTemplateRef")
        return Entry(self.spec.at("workflowTemplateRef"), ref) if isinstance(ref, Map) else None

    @cached_property
    def parameters(self) -> list[Entry]:
        """The workflow's own arguments."""
        return self.spec.entries("arguments", "parameters")

    @property
    def entrypoint(self) -> str:
        """spec.entrypoint."""
        return text(self.spec.get("entrypoint"))


@dataclass(frozen=True, eq=False)
class Template(Entry):
    """One template; `caller` is set if it is written inside of a step or a task."""

    resource: Resource
    caller: "Call | None" = None

    @cached_property
    def types(self) -> list[str]:
        """The template types that it declares."""
        return [t for t in TYPES if self.body.get(t) is not None]

    @property
    def type(self) -> str:
        """The first of its types, or the empty string."""
        return self.types[0] if self.types else ""

    @property
    def is_leaf(self) -> bool:
        """True if Argo runs something for it, so that paths in it mean files."""
        return self.type in LEAVES

    @property
    def is_graph(self) -> bool:
        """True for steps and dag."""
        return self.type in ("steps", "dag")

    @property
    def title(self) -> str:
        """Its name, or that of the call it is written in."""
        return self.name or (f"{self.caller.name} (inline)" if self.caller else "without a name")

    @cached_property
    def calls(self) -> "list[Call]":
        """The steps or tasks, in order of writing."""
        if self.type == "steps":
            return list(self._steps())
        if self.type == "dag":
            return [Call(e.path, e.body, self, "tasks") for e in self.entries("dag", "tasks")]
        return []

    def _steps(self) -> "Iterator[Call]":
        for g, group in enumerate(sequence(self.body.get("steps"))):
            for i, step in enumerate(sequence(group)):
                if isinstance(step, Map):
                    yield Call(self.at("steps", g, i), step, self, "steps", g)

    def with_inline(self) -> "Iterator[Template]":
        """Itself and the inline templates below it."""
        yield self
        for call in self.calls:
            if call.inline is not None:
                yield from call.inline.with_inline()

    @cached_property
    def containers(self) -> list[Entry]:
        """Every container that its pod has, main ones first."""
        found = [Entry(self.at(k), mapping(self.body[k])) for k in ("container", "script") if k in self.types]
        found += self.entries("containerSet", "containers")
        return found + self.entries("sidecars") + self.entries("initContainers")


@dataclass(frozen=True, eq=False)
class Call(Entry):
    """A step or a task: something that calls a template."""

    template: Template
    prefix: str
    group: int = 0

    @cached_property
    def inline(self) -> Template | None:
        """The template written in the call, if there is one."""
        body = self.body.get("inline")
        return (
            Template(self.at("inline"), body, self.template.resource, self) if isinstance(body, Map) else None
        )

    @property
    def ref(self) -> Entry | None:
        """Its templateRef, if there is one."""
        body = self.body.get("templateRef")
        return Entry(self.at("templateRef"), body) if isinstance(body, Map) else None

    @property
    def target(self) -> str:
        """The name of the template it calls, or the empty string."""
        return text(self.body.get("template"))

    @property
    def loops(self) -> list[str]:
        """The loop sources it declares."""
        found = [k for k in ("withItems", "withParam") if self.body.get(k)]
        return found + (["withSequence"] if isinstance(self.body.get("withSequence"), Map) else [])

    @property
    def hooks(self) -> dict[str, Entry]:
        """Its lifecycle hooks by name."""
        hooks = mapping(self.body.get("hooks"))
        return {k: Entry(self.at("hooks", k), v) for k, v in hooks.items() if isinstance(v, Map)}

    @property
    def has_exit_hook(self) -> bool:
        """True if something runs when it ends, and may look at its outputs."""
        return bool(self.body.get("onExit")) or "exit" in self.hooks
