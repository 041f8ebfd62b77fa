"""KFP's types and ours."""

import re
from typing import Any

from argosy.declare.names import python_name, step_name
from argosy.manifest.tree import Map
from argosy.reuse.document import Source
from argosy.reuse.typename import type_from_data, type_to_data
from argosy.step.interface import REQUIRED, ArtifactKind, Interface, Port
from argosy.step.values import ValueType
from argosy.text import did_you_mean

# In an input's or output's `annotations`: what KFP's own types cannot tell.
TYPE = "argosy.dev/type"
FILE_NAME = "argosy.dev/file-name"

_TO_KFP = {
    str: "String",
    int: "Integer",
    float: "Float",
    bool: "Boolean",
    list: "JsonArray",
    dict: "JsonObject",
}
_FROM_KFP: dict[str, type] = {
    **dict.fromkeys(("string", "str", "text"), str),
    **dict.fromkeys(("integer", "int", "number_integer"), int),
    **dict.fromkeys(("float", "double", "number_double"), float),
    **dict.fromkeys(("boolean", "bool"), bool),
    **dict.fromkeys(("list", "jsonarray"), list),
    **dict.fromkeys(("dict", "jsonobject", "struct"), dict),
}
# Artifacts have no such types in KFP, which takes an unknown one for `system.Artifact`.
_KINDS = {"file": "File", "directory": "Directory", "any": "Artifact"}


def to_kfp(port: Port) -> str:
    """The type of a port as a v1 component.yaml names it."""
    return _KINDS[port.type.name] if isinstance(port.type, ArtifactKind) else _TO_KFP[port.type.base]


def annotations(port: Port) -> dict[str, Any]:
    """The parts of a port's declaration that `to_kfp` loses."""
    found: dict[str, Any] = {}
    if isinstance(port.type, ValueType) and port.type != ValueType(port.type.base):
        found[TYPE] = type_to_data(port.type)
    if port.file_name != port.argo_name:
        found[FILE_NAME] = port.file_name
    return found


def from_kfp(name: Any, noted: Any = None) -> ValueType | ArtifactKind | None:
    """Our type for a KFP type's name, with the annotation if there is one; None where no type is given.

    Raises:
        ValueError: the annotation names no type.
    """
    if noted is not None:
        return type_from_data(noted)
    if name is None:
        return None
    text = str(name).removeprefix("typing.").partition("[")[0] if isinstance(name, str) else ""
    if text.lower() in _FROM_KFP:
        return ValueType(_FROM_KFP[text.lower()])
    kind = next((ours for ours, theirs in _KINDS.items() if theirs == name), "any")
    return ArtifactKind(kind)  # type: ignore[arg-type]  # the keys are the kinds


def make_port(
    name: str, kind: ValueType | ArtifactKind, told: Any, default: Any, file_name: str = ""
) -> Port:
    """A port called `name` in KFP; `default` is REQUIRED, None (it may be left out), or a value.

    Raises:
        ValueError: the default is not of the port's type.
    """
    if isinstance(kind, ValueType) and default is not REQUIRED:
        if default is None:
            kind = ValueType(kind.base, kind.item, kind.choices, optional=True)
        else:
            default = _default(kind, default)
    port = Port(python_name(name), kind, " ".join(str(told or "").split()), default)
    return Port(port.name, port.type, port.description, port.default, file_name or port.argo_name)


def _default(kind: ValueType, default: Any) -> Any:
    """v1 writes defaults as text, or as they are; v2 writes whole numbers as floats."""
    if isinstance(default, str):
        return kind.decode(default)
    if kind.base is int and isinstance(default, float) and default.is_integer():
        return int(default)
    if kind.base is str:
        return str(default)
    try:
        kind.encode(default)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return default


def image_of(source: Source, container: Map) -> str:
    """The image that a container names. Raises DeclarationError where that is no name."""
    image = container.get("image")
    if not isinstance(image, str) or not image or any(c.isspace() for c in image):
        raise source.error(f"image {image!r} is not the name of an image", container.line)
    return image


_BRACES = re.compile(r"\{\{.*?\}\}", re.S)


class Ports:
    """Inputs and outputs under KFP's names."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.inputs: dict[str, Port] = {}
        self.outputs: dict[str, Port] = {}

    def add_input(self, entry: Map, port: Port) -> None:
        """Take an input; `entry` is where the file declares it."""
        self._add(self.inputs, "input", entry.get("name"), entry.line, port)

    def add_output(self, entry: Map, port: Port) -> None:
        """Take an output; `entry` is where the file declares it."""
        self._add(self.outputs, "output", entry.get("name"), entry.line, port)

    def _add(self, ports: dict[str, Port], noun: str, name: Any, line: int, port: Port) -> None:
        if not isinstance(name, str) or not name:
            raise self.source.error(f"an {noun} has no name", line)
        twin = next((n for n, p in ports.items() if p.name == port.name), None)
        if twin is not None:
            raise self.source.error(
                f"the {noun}s '{twin}' and '{name}' are both '{port.name}' in Python", line
            )
        ports[name] = port

    def input(self, name: Any, line: int) -> Port:
        """The input that a placeholder names."""
        return self._get(self.inputs, "input", name, line)

    def output(self, name: Any, line: int) -> Port:
        """The output that a placeholder names."""
        return self._get(self.outputs, "output", name, line)

    def _get(self, ports: dict[str, Port], noun: str, name: Any, line: int) -> Port:
        if name not in ports:
            raise self.source.error(f"there is no {noun} '{name}'{did_you_mean(str(name), ports)}", line)
        return ports[name]

    def literal(self, value: Any, line: int) -> str:
        """A plain word; one that Argo would read as its own is refused."""
        text = str(value)
        if braces := _BRACES.search(text):
            raise self.source.error(f"Argo would read {braces[0]} as a reference of its own", line)
        return text


def interface_of(name: str, description: Any, ports: Ports) -> Interface:
    """The interface: the description's first paragraph is the summary."""
    summary, _, rest = str(description or "").strip().partition("\n\n")
    return Interface(
        step_name(name),
        " ".join(summary.split()),
        rest.strip(),
        tuple(ports.inputs.values()),
        tuple(ports.outputs.values()),
    )
