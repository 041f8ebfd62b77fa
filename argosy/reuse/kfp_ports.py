"""The ports of a component that is being read, by the names that KFP knows them under."""

import re
from typing import Any

from argosy.declare.names import step_name
from argosy.reuse.document import Mapping, Source
from argosy.step.interface import Interface, Port
from argosy.text import did_you_mean

_BRACES = re.compile(r"\{\{.*?\}\}", re.S)


class Ports:
    """Inputs and outputs under KFP's names."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.inputs: dict[str, Port] = {}
        self.outputs: dict[str, Port] = {}

    def add_input(self, entry: Mapping, port: Port) -> None:
        """Take an input; `entry` is where the file declares it."""
        self._add(self.inputs, "input", entry.get("name"), entry.line, port)

    def add_output(self, entry: Mapping, port: Port) -> None:
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
