"""Reading KFP's v2 component.yaml: the IR that `kfp.compiler` writes for one container component."""

from typing import Any

from argosy.declare.container import ContainerSpec
from argosy.declare.resources import Resources
from argosy.reuse.document import Mapping, Source
from argosy.reuse.kfp_ports import Ports, interface_of
from argosy.reuse.kfp_types import from_kfp, make_port
from argosy.reuse.kfp_v2_words import read_word, read_words
from argosy.reuse.loaded import CommandLine, LoadedComponent
from argosy.reuse.words import IfPresent, resolved
from argosy.step.artifacts import ArtifactKind
from argosy.step.interface import REQUIRED, Port
from argosy.step.values import ValueType


def read_v2(source: Source, root: Mapping, name: str | None, fallback: str | None) -> LoadedComponent:
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
        image=_image(source, container),
        env=_env(source, container, ports),
        resources=_resources(source, container),
    )
    info = source.mapping(root, "pipelineInfo")
    called = name or info.get("name") or fallback or "step"
    return LoadedComponent(interface_of(called, info.get("description"), ports), spec, line, source.name)


def _only_component(source: Source, root: Mapping) -> Mapping:
    components = source.mapping(root, "components")
    if len(components) != 1:
        problem = f"holds a pipeline of {len(components)} components; one container component is wanted"
        raise source.error(problem, root.lines.get("components", 0))
    component = source.mapping(components, next(iter(components)))
    if "executorLabel" not in component:
        raise source.error("is a pipeline; one container component is wanted", component.line)
    return component


def _container(source: Source, root: Mapping, component: Mapping) -> Mapping:
    executors = source.mapping(source.mapping(root, "deploymentSpec"), "executors")
    label = component["executorLabel"]
    if label not in executors:
        raise source.error(f"there is no executor '{label}'", component.lines["executorLabel"])
    executor = source.mapping(executors, label)
    if "container" not in executor:
        found = ", ".join(map(repr, executor)) or "nothing"
        raise source.error(f"executor '{label}' is {found}; a container is wanted", executor.line)
    return source.mapping(executor, "container")


def _image(source: Source, container: Mapping) -> str:
    image = container.get("image")
    if not isinstance(image, str) or not image or any(c.isspace() for c in image):
        raise source.error(f"image {image!r} is not the name of an image", container.line)
    return image


def _ports(source: Source, component: Mapping) -> Ports:
    ports = Ports(source)
    for key, is_input in (("inputDefinitions", True), ("outputDefinitions", False)):
        definitions = source.mapping(component, key)
        for kind in ("parameters", "artifacts"):
            entries = source.mapping(definitions, kind)
            for name in entries:
                entry = source.mapping(entries, name)
                entry["name"], entry.line = name, entries.lines.get(name, entry.line)
                port = _port(source, entry, is_input)
                (ports.add_input if is_input else ports.add_output)(entry, port)
    return ports


def _port(source: Source, entry: Mapping, is_input: bool) -> Port:
    name = str(entry["name"])
    default = REQUIRED
    if is_input and entry.get("isOptional"):
        default = entry.get("defaultValue")
    try:
        return make_port(name, _type(entry), entry.get("description"), default)
    except ValueError as error:
        raise source.error(f"'{name}': {error}", entry.line) from None


def _type(entry: Mapping) -> ValueType | ArtifactKind:
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


def _env(source: Source, container: Mapping, ports: Ports) -> dict[str, str]:
    found = {}
    for entry in source.mappings(container, "env"):
        word = read_word(ports, entry.get("value", ""), entry.line)
        if isinstance(word, IfPresent):
            raise source.error(f"env {entry.get('name')}: cannot depend on what a call gives", entry.line)
        found[str(entry.get("name"))] = "".join(resolved((word,), frozenset()))
    return found


def _resources(source: Source, container: Mapping) -> Resources:
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


def _pair(given: Mapping, noun: str, unit: str) -> tuple[str, str] | None:
    """Request and limit: `resourceCpuLimit: 500m` today, `cpuLimit: 0.5` before, memory then in gigabytes."""

    def read(which: str) -> str | None:
        text = given.get(f"resource{noun}{which}")
        number: Any = given.get(f"{noun.lower()}{which}")
        return str(text) if text else (f"{number:g}{unit}" if number else None)

    limit = read("Limit")
    request = read("Request") or limit
    return (request, limit or request) if request else None
