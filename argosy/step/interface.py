"""The inert description of a step: what goes in, what comes out, what it is for.

The compiler, the container's command line, the runner and the documentation read only this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from argosy.step.artifacts import ArtifactKind, Stored
from argosy.step.values import ValueType

OUTPUTS_DIR = "/tmp/outputs"
INPUTS_DIR = "/tmp/inputs"
# The template that a workflow begins with, and that others call by `templateRef`.
ENTRYPOINT = "main"
# That of what a workflow does at its end.
EXIT_HANDLER = "exit-handler"
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()


def argo_name(python_name: str) -> str:
    """`run_id` in Python is `run-id` in YAML."""
    return python_name.replace("_", "-")


@dataclass(frozen=True)
class Port:
    """One input or one output.

    Attributes:
        name: the Python name.
        type: a `ValueType` (travels as a parameter) or an `ArtifactKind` (as an artifact).
        description: one sentence, from the docstring.
        default: an input's default value, or `REQUIRED`.
        file_name: what the file is called inside the container; an absolute path stands for itself.
        yaml_name: the name in YAML, where it does not follow from the Python name.
        stored: how the artifact repository keeps it, if the declaration says so.
    """

    name: str
    type: ValueType | ArtifactKind
    description: str = ""
    default: Any = REQUIRED
    file_name: str = ""
    yaml_name: str = ""
    stored: Stored | None = None

    @property
    def argo_name(self) -> str:
        return self.yaml_name or argo_name(self.name)

    @property
    def is_artifact(self) -> bool:
        return isinstance(self.type, ArtifactKind)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def optional(self) -> bool:
        """Whether nothing may stand where the artifact would: Argo's `optional: true`."""
        return isinstance(self.type, ArtifactKind) and (self.type.optional or not self.required)

    @property
    def default_text(self) -> str:
        """The default as Argo writes it; only for a parameter that has one."""
        assert isinstance(self.type, ValueType) and not self.required
        return self.type.encode(self.default)


@dataclass(frozen=True)
class Interface:
    """A step's name in YAML, its summary and its ports in the order of declaration.

    Attributes:
        bare: the function returns its one output itself (`-> float`), not a tuple with a field for each.
        result: the name of the tuple's type.
    """

    name: str
    summary: str
    description: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    bare: bool = False
    result: str = field(default="Outputs", compare=False)  # known only where the function is

    def input(self, name: str) -> Port | None:
        """The input of that Python name, or None."""
        return next((p for p in self.inputs if p.name == name), None)

    def output(self, name: str) -> Port | None:
        """The output of that Python name, or None."""
        return next((p for p in self.outputs if p.name == name), None)
