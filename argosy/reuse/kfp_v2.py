"""Reading KFP's v2 component.yaml: the IR that `kfp.compiler` writes for one container component."""

import json
import re
from typing import Any

from argosy.declare.container import ContainerSpec
from argosy.declare.pod import Resources
from argosy.manifest.tree import Map
from argosy.reuse.document import Source
from argosy.reuse.kfp_types import Ports, from_kfp, image_of, interface_of, make_port
from argosy.reuse.loaded import CommandLine, Concat, IfPresent, LoadedComponent, Tag, Word, resolved
from argosy.step.interface import REQUIRED, ArtifactKind, Port
from argosy.step.values import ValueType

_TAG = re.compile(r"\{\{\s*\$(?P<path>.*?)\}\}", re.S)
_PORT = re.compile(
    r"\.(?P<way>inputs|outputs)\.(?P<kind>parameters|artifacts)\[(?P<quote>['\"])(?P<name>.*?)(?P=quote)\]"
    r"(?:\.(?P<field>\w+))?"
)
_WORKFLOW = {
    ".pipeline_job_name": "{{workflow.name}}",
    ".pipeline_job_resource_name": "{{workflow.name}}",
    ".pipeline_job_uuid": "{{workflow.uid}}",
    ".pipeline_task_uuid": "{{pod.name}}",
}
# Which field of which port stands for a value or a path. Argo moves the files itself: a place to read
# from or to write to is a path, also where a URI is wanted.
_FIELDS = {
    ("inputs", "parameters"): (None,),
    ("inputs", "artifacts"): ("path", "uri"),
    ("outputs", "parameters"): ("output_file",),
    ("outputs", "artifacts"): ("path", "uri"),
}


def read_words(ports: Ports, entries: Any, lines: list[int] | int) -> tuple[Word, ...]:
    """The words of a list; `lines` has a line for each, or one for all."""
    if not isinstance(entries, list):
        entries = [entries]
    where = [lines] * len(entries) if isinstance(lines, int) else lines
    return tuple(read_word(ports, e, line) for e, line in zip(entries, where, strict=True))


def read_word(ports: Ports, entry: Any, line: int) -> Word:
    """One word.

    Raises:
        DeclarationError: a placeholder that is unknown, or that only KFP's own runtime can fill.
    """
    structure = entry if isinstance(entry, dict) else _structure(entry)
    if structure is None:
        return _text(ports, str(entry), line)
    key, value = next(iter(structure.items()))
    if key == "Concat":
        return Concat(read_words(ports, value, line))
    port = ports.input(value.get("InputName"), line)
    then, otherwise = value.get("Then") or [], value.get("Else") or []
    return IfPresent(port.name, read_words(ports, then, line), read_words(ports, otherwise, line))


def _structure(entry: Any) -> dict[str, Any] | None:
    """A `Concat` or `IfPresent`, which v2 writes as JSON inside of a text."""
    if not isinstance(entry, str) or not entry.lstrip().startswith(('{"Concat"', '{"IfPresent"')):
        return None
    try:
        found = json.loads(entry)
    except ValueError:
        return None
    return found if isinstance(found, dict) and len(found) == 1 else None


def _text(ports: Ports, text: str, line: int) -> Word:
    items: list[Word] = []
    end = 0
    for match in _TAG.finditer(text):
        if match.start() > end:
            items.append(ports.literal(text[end : match.start()], line))
        items.append(Tag(_reference(ports, match["path"].strip(), match[0], line)))
        end = match.end()
    if end < len(text) or not items:
        items.append(ports.literal(text[end:], line))
    return items[0] if len(items) == 1 else Concat(tuple(items))


def _reference(ports: Ports, path: str, shown: str, line: int) -> str:
    if path in _WORKFLOW:
        return _WORKFLOW[path]
    if not path:
        raise ports.source.error(
            "is a lightweight Python component: it hands '{{$}}', the executor input, to KFP's own runtime; "
            "make its function an @argosy.component",
            line,
        )
    match = _PORT.fullmatch(path)
    if match is None or match["field"] not in _FIELDS[match["way"], match["kind"]]:
        raise ports.source.error(f"{shown} cannot be carried over: only KFP's own runtime provides it", line)
    find = ports.input if match["way"] == "inputs" else ports.output
    port = find(match["name"], line)
    return _argo_tag(match["way"], port)


def _argo_tag(way: str, port: Port) -> str:
    kind = "artifacts" if port.is_artifact else "parameters"
    place = "" if (way, kind) == ("inputs", "parameters") else ".path"
    return f"{{{{{way}.{kind}.{port.argo_name}{place}}}}}"


def read_v2(source: Source, root: Map, name: str | None, fallback: str | None) -> LoadedComponent:
    """The component of a v2 document, called `name`, else as it says, else `fallback`.

    Raises:
        DeclarationError: it holds a pipeline of several, or something that cannot be carried over to Argo.
    """
    component = _only_component(source, root)
    container = _container(source, root, component)
    ports = _ports(source, component)
    command, args = source.sequence(container, "command"), source.sequence(container, "args")
    line = CommandLine(read_words(ports, command, command.lines), read_words(ports, args, args.lines))
    spec = ContainerSpec(
        image=image_of(source, container),
        env=_env(source, container, ports),
        resources=_resources(source, container),
    )
    info = source.mapping(root, "pipelineInfo")
    called = name or info.get("name") or fallback or "step"
    return LoadedComponent(interface_of(called, info.get("description"), ports), spec, line, source.name)


def _only_component(source: Source, root: Map) -> Map:
    components = source.mapping(root, "components")
    if len(components) != 1:
        problem = f"holds a pipeline of {len(components)} components; one container component is wanted"
        raise source.error(problem, root.lines.get("components", 0))
    component = source.mapping(components, next(iter(components)))
    if "executorLabel" not in component:
        raise source.error("is a pipeline; one container component is wanted", component.line)
    return component


def _container(source: Source, root: Map, component: Map) -> Map:
    executors = source.mapping(source.mapping(root, "deploymentSpec"), "executors")
    label = component["executorLabel"]
    if label not in executors:
        raise source.error(f"there is no executor '{label}'", component.lines["executorLabel"])
    executor = source.mapping(executors, label)
    if "container" not in executor:
        found = ", ".join(map(repr, executor)) or "nothing"
        raise source.error(f"executor '{label}' is {found}; a container is wanted", executor.line)
    return source.mapping(executor, "container")


def _ports(source: Source, component: Map) -> Ports:
    ports = Ports(source)
    for key, is_input in (("inputDefinitions", True), ("outputDefinitions", False)):
        definitions = source.mapping(component, key)
        for kind in ("parameters", "artifacts"):
            entries = source.mapping(definitions, kind)
            for name in entries:
                entry = source.mapping(entries, name)
                entry["name"], entry.mark = name, entries.marks.get(name, entry.mark)
                port = _port(source, entry, is_input)
                (ports.add_input if is_input else ports.add_output)(entry, port)
    return ports


def _port(source: Source, entry: Map, is_input: bool) -> Port:
    name = str(entry["name"])
    default = REQUIRED
    if is_input and entry.get("isOptional"):
        default = entry.get("defaultValue")
    try:
        return make_port(name, _type(entry), entry.get("description"), default)
    except ValueError as error:
        raise source.error(f"'{name}': {error}", entry.line) from None


def _type(entry: Map) -> ValueType | ArtifactKind:
    if entry.get("isArtifactList"):
        raise ValueError("is a list of artifacts, which Argo does not have")
    if "parameterType" not in entry:
        return ArtifactKind("any")
    kind = from_kfp(entry["parameterType"])
    if not isinstance(kind, ValueType):
        raise ValueError(f"is of type {entry['parameterType']}, which only KFP's own runtime provides")
    literals = entry.get("literals")
    if kind.base is str and isinstance(literals, list) and all(isinstance(v, str) for v in literals):
        return ValueType(str, choices=tuple(literals))
    return kind


def _env(source: Source, container: Map, ports: Ports) -> dict[str, str]:
    found = {}
    for entry in source.mappings(container, "env"):
        word = read_word(ports, entry.get("value", ""), entry.line)
        if isinstance(word, IfPresent):
            raise source.error(f"env {entry.get('name')}: cannot depend on what a call gives", entry.line)
        found[str(entry.get("name"))] = "".join(resolved((word,), frozenset()))
    return found


def _resources(source: Source, container: Map) -> Resources:
    given = source.mapping(container, "resources")
    accelerator = source.mapping(given, "accelerator")
    count = accelerator.get("resourceCount") or accelerator.get("count") or 0
    kind = str(accelerator.get("resourceType") or accelerator.get("type") or "")
    try:
        return Resources(
            cpu=_pair(given, "Cpu", ""),
            memory=_pair(given, "Memory", "G"),
            gpu=int(count),
            gpu_resource=kind if "/" in kind else Resources.gpu_resource,
        )
    except (ValueError, TypeError) as error:
        raise source.error(f"resources: {error}", given.line) from None


def _pair(given: Map, noun: str, unit: str) -> tuple[str, str] | None:
    """Request and limit: `resourceCpuLimit: 500m` today, `cpuLimit: 0.5` before, memory then in gigabytes."""

    def read(which: str) -> str | None:
        text = given.get(f"resource{noun}{which}")
        number: Any = given.get(f"{noun.lower()}{which}")
        return str(text) if text else (f"{number:g}{unit}" if number else None)

    limit = read("Limit")
    request = read("Request") or limit
    return (request, limit or request) if request else None
