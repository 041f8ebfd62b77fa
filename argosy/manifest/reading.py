"""Files to documents: YAML with positions, duplicate keys and limits; every trouble becomes a problem.

The parser's events are read one by one, without recursion, so neither deep nesting nor a chain of aliases can
exhaust anything: reading stops at the first limit that is passed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from argosy.manifest.builder import Builder, Loader, Trouble
from argosy.manifest.tree import Map, Mark, Path, marked, unmarked

KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
GROUP = "argoproj.io/"
# Kubernetes refuses an object of more than 1.5 MiB; a file may hold many objects.
MAX_BYTES = 16 * 1024 * 1024
# Documents of one file.
MAX_DOCUMENTS = 5_000
# The problems that make Argo refuse a file; the others change what it means.
STOPS_ARGO = ("ARG001", "ARG004")


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

    @property
    def kind(self) -> str:
        """The object's kind, or the empty string."""
        kind = self.root.get("kind") if isinstance(self.root, Map) else None
        return kind if isinstance(kind, str) else ""

    @property
    def is_argo(self) -> bool:
        """True for the four kinds that are linted, whatever their version."""
        version = self.root.get("apiVersion") if isinstance(self.root, Map) else None
        foreign = isinstance(version, str) and bool(version) and not version.startswith(GROUP)
        return self.kind in KINDS and not foreign


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
