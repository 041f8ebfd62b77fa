"""Reading KFP's v1 component.yaml: inputs, outputs, implementation.container."""

from typing import Any

from argosy.declare.container import ContainerSpec
from argosy.manifest.tree import Map
from argosy.reuse.document import Source
from argosy.reuse.kfp_types import FILE_NAME, TYPE, Ports, from_kfp, image_of, interface_of, make_port
from argosy.reuse.loaded import CommandLine, Concat, IfPresent, LoadedComponent, Tag, Word, resolved
from argosy.step.interface import REQUIRED, ArtifactKind, Port
from argosy.step.values import ValueType

_PATHS = {"inputPath", "inputUri"}
_REFUSED = {
    "executorInput": "hands over KFP's executor input, which only KFP's own runtime provides",
    "inputMetadata": "reads KFP's metadata store, which is not there",
    "outputMetadata": "writes to KFP's metadata store, which is not there",
    "inputOutputPortName": "asks for the name of a port of KFP",
}


def read_v1(source: Source, root: Map, name: str | None, fallback: str | None) -> LoadedComponent:
    """The component of a v1 document, called `name`, else as it says, else `fallback`.

    Raises:
        DeclarationError: something in it cannot be carried over to Argo.
    """
    container = _container(source, root)
    lists = {key: source.sequence(container, key) for key in ("command", "args")}
    by_path = {n for entries in lists.values() for n in _used_by(_PATHS, entries)}
    ports = Ports(source)
    for entry in source.mappings(root, "inputs"):
        ports.add_input(entry, _input(source, entry, by_path))
    fixed = source.mapping(container, "fileOutputs")
    for entry in source.mappings(root, "outputs"):
        ports.add_output(entry, _output(source, entry, fixed))
    reader = _Words(source, ports)
    line = CommandLine(*(reader.words(lists[key], lists[key].lines) for key in ("command", "args")))
    spec = ContainerSpec(image=image_of(source, container), env=_env(source, container, reader))
    called = name or root.get("name") or fallback or "step"
    return LoadedComponent(interface_of(called, root.get("description"), ports), spec, line, source.name)


def _container(source: Source, root: Map) -> Map:
    implementation = source.mapping(root, "implementation")
    if "graph" in implementation:
        problem = "is a graph of components; load its parts, and compose them in a pipeline"
        raise source.error(problem, implementation.lines["graph"])
    if "container" not in implementation:
        raise source.error("has no implementation.container", implementation.line)
    return source.mapping(implementation, "container")


def _used_by(keys: set[str], node: Any) -> list[str]:
    """The names of the inputs that some placeholder of `keys` uses."""
    if isinstance(node, dict):
        own = [v for k, v in node.items() if k in keys and isinstance(v, str)]
        return own + [n for v in node.values() for n in _used_by(keys, v)]
    return [n for v in node for n in _used_by(keys, v)] if isinstance(node, list) else []


def _input(source: Source, entry: Map, by_path: set[str]) -> Port:
    name, notes = entry.get("name"), source.mapping(entry, "annotations")
    default = entry.get("default", None if entry.get("optional") else REQUIRED)
    try:
        kind = from_kfp(entry.get("type"), notes.get(TYPE))
        if kind is None:
            kind = ArtifactKind("any") if name in by_path else ValueType(str)
        if isinstance(kind, ArtifactKind) and default not in (REQUIRED, None):
            raise ValueError("an artifact cannot have a default")
        return make_port(str(name), kind, entry.get("description"), default, notes.get(FILE_NAME, ""))
    except ValueError as error:
        raise source.error(f"input '{name}': {error}", entry.line) from None


def _output(source: Source, entry: Map, fixed: Map) -> Port:
    name: Any = entry.get("name")
    notes = source.mapping(entry, "annotations")
    try:
        kind = from_kfp(entry.get("type"), notes.get(TYPE)) or ArtifactKind("any")
        place = str(fixed.get(name) or notes.get(FILE_NAME, ""))
        return make_port(str(name), kind, entry.get("description"), REQUIRED, place)
    except ValueError as error:
        raise source.error(f"output '{name}': {error}", entry.line) from None


def _env(source: Source, container: Map, reader: "_Words") -> dict[str, str]:
    env = source.mapping(container, "env")
    found = {}
    for name, value in env.items():
        line = env.lines.get(name, env.line)
        word = reader.word(value, line)
        if isinstance(word, IfPresent):
            raise source.error(f"env {name}: a variable cannot depend on what a call gives", line)
        found[str(name)] = "".join(resolved((word,), frozenset()))
    return found


class _Words:
    """Reads the placeholders of a v1 command line."""

    def __init__(self, source: Source, ports: Ports) -> None:
        self.source, self.ports = source, ports

    def words(self, entries: Any, lines: list[int] | int) -> tuple[Word, ...]:
        """The words of a list; `lines` has a line for each, or one for all."""
        if not isinstance(entries, list):
            entries = [entries]
        where = [lines] * len(entries) if isinstance(lines, int) else lines
        return tuple(self.word(e, line) for e, line in zip(entries, where, strict=True))

    def word(self, entry: Any, line: int) -> Word:
        """One word.

        Raises:
            DeclarationError: a placeholder that is unknown, or cannot be carried over.
        """
        if not isinstance(entry, dict):
            return self.ports.literal(entry, line)
        if len(entry) != 1:
            raise self.source.error(f"{dict(entry)} is not one placeholder", line)
        key, value = next(iter(entry.items()))
        if key == "concat":
            return Concat(self.words(value, line))
        if key == "if":
            return self._condition(value, line)
        if key in ("inputValue", "inputPath", "inputUri"):
            return self._input(key, value, line)
        if key in ("outputPath", "outputUri"):
            port = self.ports.output(value, line)
            # Argo moves the files itself: a place to write to is a path, also where a URI is wanted.
            return Tag(f"{{{{outputs.{_noun(port)}.{port.argo_name}.path}}}}")
        reason = _REFUSED.get(str(key), "is not a placeholder that is known")
        raise self.source.error(f"'{key}' cannot be carried over: it {reason}", line)

    def _condition(self, value: Any, line: int) -> IfPresent:
        condition = value.get("cond") if isinstance(value, dict) else None
        if not isinstance(condition, dict) or "isPresent" not in condition:
            raise self.source.error("'if' can only ask whether an input isPresent", line)
        port = self.ports.input(condition["isPresent"], line)
        then, otherwise = value.get("then") or [], value.get("else") or []
        return IfPresent(port.name, self.words(then, line), self.words(otherwise, line))

    def _input(self, key: str, name: Any, line: int) -> Tag:
        port = self.ports.input(name, line)
        if port.is_artifact:
            if key == "inputValue":
                raise self.source.error(f"input '{name}' is an artifact; its inputValue is not known", line)
            return Tag(f"{{{{inputs.artifacts.{port.argo_name}.path}}}}")
        if key != "inputValue":
            problem = f"input '{name}' is of type {port.type}, a parameter; a parameter has no {key}"
            raise self.source.error(problem, line)
        return Tag(f"{{{{inputs.parameters.{port.argo_name}}}}}")


def _noun(port: Port) -> str:
    return "artifacts" if port.is_artifact else "parameters"
