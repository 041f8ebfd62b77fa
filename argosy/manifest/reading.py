"""Files to documents: YAML with positions, duplicate keys and limits; every trouble becomes a problem.

The parser's events are read one by one, without recursion, so neither deep nesting nor a chain of aliases can
exhaust anything: reading stops at the first limit that is passed.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from argosy.manifest.scalars import Scalar, key_text, resolve
from argosy.manifest.tree import Map, Mark, Path, Seq, marked, unmarked

# PyYAML built without libyaml is slower, and has the same events.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
GROUP = "argoproj.io/"
# What holds objects under `items`: `kubectl get` writes the first, an API server the others.
LISTS = ("List", *(f"{kind}List" for kind in KINDS))
# Kubernetes refuses an object of more than 1.5 MiB; a file may hold many objects.
MAX_BYTES = 16 * 1024 * 1024
# Documents of one file.
MAX_DOCUMENTS = 5_000
# The problems that make Argo refuse a file; the others change what it means.
STOPS_ARGO = ("ARG001", "ARG004")
# An Argo manifest nests about 20 levels, with an inline template about 40.
MAX_DEPTH = 100
# Values of one document after aliases are written out. More do not fit into an object of Kubernetes.
MAX_VALUES = 300_000
# Explicit tags under which a text may be a number or a boolean; under any other it stays a text.
_RESOLVED = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "timestamp")}


class Trouble(Exception):
    """The document cannot be read; reading stops."""

    def __init__(
        self, message: str, mark: Mark, code: str = "ARG001", path: Path = (), written: str = ""
    ) -> None:
        super().__init__(message)
        self.message, self.mark, self.code, self.path, self.written = message, mark, code, path, written


@dataclass
class Built:
    """A finished document: its tree, duplicate keys met on the way, and its size with aliases written out."""

    root: Any
    troubles: list[Trouble]
    size: int  # characters, about


@dataclass
class _Frame:
    node: Map | Seq
    mark: Mark
    anchor: str | None
    values: int = 1
    size: int = 2
    key: str | None = None
    key_mark: Mark = (1, 1)
    merges: list[tuple[Any, Mark]] = field(default_factory=list)


class Builder:
    """Feed it events; it answers with a document at each document's end."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._troubles: list[Trouble] = []
        self._root: Any = None
        self._size = 0

    def feed(self, event: Any) -> Built | None:
        """Take one event; a document when it ends. Raises Trouble where reading must stop."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(Map(_mark(event)), event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(Seq(_mark(event)), event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            done = Built(self._root, self._troubles, self._size)
            self._reset()
            return done
        return None

    def _scalar(self, event: Any) -> None:
        plain = event.implicit[0] or event.tag in _RESOLVED
        value = resolve(event.value) if plain else event.value
        if isinstance(value, float) and not math.isfinite(value):
            problem = f"'{event.value}' is no number that JSON, and so Argo, can hold; put it in quotes"
            raise Trouble(problem, _mark(event))
        written = event.value if plain and not isinstance(value, str) else None
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, len(event.value))
        self._add(value, _mark(event), 1, len(event.value), written, plain and event.value == "<<")

    def _open(self, node: Map | Seq, event: Any) -> None:
        mark = _mark(event)
        if len(self._frames) >= MAX_DEPTH:
            raise Trouble(f"nested more than {MAX_DEPTH} levels deep", mark)
        if self._frames and isinstance(self._frames[-1].node, Map) and self._frames[-1].key is None:
            raise Trouble("a key must be a text, not a list or a mapping; quote '{{...}}'", mark)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._frames.append(_Frame(node, mark, event.anchor))

    def _close(self) -> None:
        frame = self._frames.pop()
        if frame.merges:
            _merge(frame)
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.node, frame.values, frame.size)
        self._add(frame.node, frame.mark, frame.values, frame.size)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise Trouble(f"alias '*{event.anchor}' names no anchor that is complete before it", _mark(event))
        self._add(self._anchors[event.anchor][0], _mark(event), *self._anchors[event.anchor][1:])

    def _add(
        self,
        value: Any,
        mark: Mark,
        values: int,
        size: int,
        written: str | None = None,
        merge_key: bool = False,
    ) -> None:
        if not self._frames:
            self._root, self._size = value, size
            return
        frame = self._frames[-1]
        frame.values += values
        frame.size += size + 3
        if frame.values > MAX_VALUES:
            raise Trouble(f"more than {MAX_VALUES:,} values once its aliases are written out", mark)
        if isinstance(frame.node, Seq):
            frame.node.put(value, mark, written)
        elif frame.key is None:
            frame.key, frame.key_mark = "<<" if merge_key else self._key(value, mark, written), mark
        else:
            self._value(frame, value, mark, written)

    def _key(self, value: Scalar | Map | Seq, mark: Mark, written: str | None) -> str:
        if isinstance(value, Map | Seq):
            raise Trouble("a key must be a text, not a list or a mapping", mark)
        try:
            key = key_text(value)
        except ValueError as error:
            raise Trouble(str(error), mark) from None
        node = self._frames[-1].node
        assert isinstance(node, Map)
        if key in node:
            message = f"key '{key}' is here a second time; the first is on line {node.marks[key][0]}"
            self._troubles.append(Trouble(message, mark, "ARG004", (*self._path(), key)))
        elif written is not None and written != key:
            message = f"the key '{written}' is read as '{key}'"
            self._troubles.append(Trouble(message, mark, "ARG015", (*self._path(), key), written))
        return key

    def _value(self, frame: _Frame, value: Any, mark: Mark, written: str | None) -> None:
        assert isinstance(frame.node, Map) and frame.key is not None
        if frame.key == "<<" and isinstance(value, Map | Seq):
            frame.merges.append((value, frame.key_mark))
        else:
            frame.node.put(frame.key, value, frame.key_mark, mark, written)
        frame.key = None

    def _path(self) -> Path:
        path: list[str | int] = []
        for frame in self._frames[:-1]:
            path.append(len(frame.node) if isinstance(frame.node, Seq) else frame.key or "")
        return tuple(path)


def _merge(frame: _Frame) -> None:
    """`<<: *base`: what the mapping does not say itself comes from `base`."""
    for value, mark in frame.merges:
        for base in value if isinstance(value, Seq) else [value]:
            if not isinstance(base, Map):
                raise Trouble("'<<' merges mappings only", mark)
            for key, item in base.items():
                if key not in frame.node:
                    assert isinstance(frame.node, Map)
                    frame.node.put(key, item, base.marks[key], base.value_marks[key], base.written.get(key))


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


@dataclass(frozen=True)
class Problem:
    """Trouble met while reading, under the code of the rule that reports it.

    `written` is the text that should be in quotes, if quotes would mend it.
    """

    code: str
    message: str
    mark: Mark
    path: Path = ()
    written: str = ""


@dataclass
class Document:
    """One YAML document of a file."""

    file: str
    root: Any
    problems: list[Problem] = field(default_factory=list)
    explicit: bool = True  # named by the user, not met while walking a folder
    size: int = 0
    place: Path = ()  # within the YAML document, of an object of a list

    @property
    def kind(self) -> str:
        """The object's kind, or the empty string."""
        kind = self.root.get("kind") if isinstance(self.root, Map) else None
        return kind if isinstance(kind, str) else ""

    @property
    def is_argo(self) -> bool:
        """True for the four kinds that are linted, whatever their version."""
        return self.kind in KINDS and not self._is_foreign

    @property
    def is_list(self) -> bool:
        """True for an object that holds others under `items`."""
        return self.kind in LISTS and (self.kind == "List" or not self._is_foreign)

    @property
    def _is_foreign(self) -> bool:
        version = self.root.get("apiVersion") if isinstance(self.root, Map) else None
        return isinstance(version, str) and bool(version) and not version.startswith(GROUP)


@dataclass
class Source:
    """A file that was read: its documents, and its lines for comments that silence a finding."""

    file: str
    documents: list[Document]
    text: str = ""
    explicit: bool = True


def read(file: str, data: bytes, explicit: bool = True) -> Source:
    """The documents of a file; never raises."""
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data):,} bytes, more than the {MAX_BYTES:,} that are read"
        return Source(file, [Document(file, None, [Problem("ARG001", message, (1, 1))], explicit)])
    text, problem = _decode(data)
    if problem:
        return Source(file, [Document(file, None, [problem], explicit)], text)
    return Source(file, list(_documents(file, text, explicit)), text, explicit)


def unlisted(source: Source) -> Source:
    """The source with a document of its own for each object of a list, after that of the list itself."""
    if any(d.place for d in source.documents) or not any(d.is_list for d in source.documents):
        return source
    return replace(source, documents=[d for listed in source.documents for d in _objects(listed)])


def _objects(document: Document) -> Iterator[Document]:
    """A document and, of a list, what it holds: Kubernetes takes lists within lists apart, too."""
    items = document.root.get("items") if document.is_list else None
    if not isinstance(items, Seq):
        yield document
        return
    below: dict[Path, list[Problem]] = {}
    for problem in document.problems:
        place = problem.path[:2] if len(problem.path) > 2 and problem.path[0] == "items" else ()
        below.setdefault(place, []).append(replace(problem, path=problem.path[len(place) :]))
    yield replace(document, problems=below.get((), []))
    for number, item in enumerate(items):
        place = ("items", number)
        problems = below.get(place, [])
        if isinstance(item, Map):
            _give_kind(item, document.kind.removesuffix("List"))
        else:
            message = f"item {number} of the list is no object"
            item, problems = None, [*problems, Problem("ARG002", message, items.place(number))]
        at = (*document.place, *place)
        yield from _objects(replace(document, root=item, problems=problems, place=at))


def _give_kind(item: Map, kind: str) -> None:
    """An object that says neither its kind nor its version has those of its list, as kubectl has it."""
    if kind and not item.get("kind") and not item.get("apiVersion"):
        item.put("kind", kind, item.mark, item.mark)
        item.put("apiVersion", f"{GROUP}v1alpha1", item.mark, item.mark)


class Unreadable(ValueError):
    """A text that Argo's reader would refuse; `line` counts from 1."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.line = problem.mark[0]


def plain(text: str) -> Any:
    """The first document of a text as plain values, read as Argo's reader reads it; None of an empty text.

    Raises:
        Unreadable: it is no YAML, or has a key twice.
    """
    source = read("", text.encode())
    for problem in (p for d in source.documents for p in d.problems if p.code in STOPS_ARGO):
        raise Unreadable(problem)
    return next((unmarked(document.root) for document in source.documents), None)


class OwnLoader(yaml.SafeLoader):
    """YAML of files that Argo never reads: parameters, settings, Secrets on this machine.

    As JSON has it: a number may be written `1e-3`; a date and a time (`12:30:45`) are texts; keys are texts
    as they are written, and none is there twice.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping; raises ConstructorError for a key that is there twice, or is no text."""
        written: set[str] = set()
        for key, _ in node.value:
            text = key.value if isinstance(key, yaml.ScalarNode) else None
            problem = f"the key '{text}' is there twice" if text in written else "a key has to be a text"
            if text is None or text in written:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            written.add(text)
        self.flatten_mapping(node)  # what `<<` brings in comes first: a key of the mapping's own replaces it
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_yaml_map(self, node: Any) -> Any:
        """A mapping, at once: nothing here holds itself."""
        return self.construct_mapping(node)


OwnLoader.add_constructor("tag:yaml.org,2002:map", OwnLoader.construct_yaml_map)
_TIMES = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
OwnLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in _TIMES]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NUMBERS = {
    "float": r"[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    "int": r"[-+]?(0b[01_]+|0[0-7_]*|[1-9][\d_]*|0x[\da-fA-F_]+)",
}
for _name, _form in _NUMBERS.items():
    OwnLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"^({_form})$"), list("-+.0123456789")
    )


def from_object(manifest: dict[str, Any], source: str, line: int = 1) -> Source:
    """A manifest that is in memory; all findings are at one line."""
    mark = (line, 1)
    try:
        return Source(source, [Document(source, marked(manifest, mark))])
    except RecursionError:
        problem = Problem("ARG001", "nested too deeply, or within itself", mark)
    except ValueError as error:
        problem = Problem("ARG001", str(error), mark)
    return Source(source, [Document(source, None, [problem])])


def _decode(data: bytes) -> tuple[str, Problem | None]:
    encoding = "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode(encoding), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = (
            f"not valid {error.encoding.upper()}: byte 0x{data[error.start]:02x} at offset {error.start}"
        )
        return data.decode("latin-1"), Problem("ARG001", message, (line, 1))


def _documents(file: str, text: str, explicit: bool) -> Iterator[Document]:
    builder = Builder()
    events = yaml.parse(text, Loader=Loader)
    count = 0
    try:
        for event in events:
            done = builder.feed(event)
            if done is not None:
                count += 1
                if count > MAX_DOCUMENTS:
                    line = event.start_mark.line + 1 if event.start_mark else 1
                    raise Trouble(f"more than {MAX_DOCUMENTS:,} documents; the rest is not read", (line, 1))
                problems = [Problem(t.code, t.message, t.mark, t.path, t.written) for t in done.troubles]
                yield Document(file, done.root, problems, explicit, done.size)
    except Trouble as trouble:
        yield Document(file, None, [Problem(trouble.code, trouble.message, trouble.mark)], explicit)
    except yaml.YAMLError as error:
        yield Document(file, None, [_syntax(error)], explicit)
    except (RecursionError, ValueError, OverflowError, MemoryError) as error:
        yield Document(file, None, [Problem("ARG001", f"cannot be read as YAML: {error}", (1, 1))], explicit)


def _syntax(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    parts = [
        getattr(error, "context", None),
        getattr(error, "problem", None) or getattr(error, "reason", None),
    ]
    message = ", ".join(re.sub(r"\s+", " ", p) for p in parts if isinstance(p, str)) or "unreadable"
    return Problem("ARG001", f"not valid YAML: {message}", place)
