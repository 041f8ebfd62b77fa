"""The inert description of a step: what goes in, what comes out, what it is for.

The compiler, the container's command line, the runner and the documentation read only this.

A file that travels has a marker type: `File`, `Directory`, and `Artifact` where either may come. All are
`pathlib.Path` to Python and to type checkers. `Annotated[File, "model.onnx"]` gives the file a name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

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

    @property
    def comparable_default(self) -> str:
        """The default of a workflow's parameter, which may get into a condition."""
        assert isinstance(self.type, ValueType) and not self.required
        return self.type.comparable(self.default)


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


@dataclass(frozen=True)
class ArtifactKind:
    """Whether an artifact is one file, a directory, or either: a step from elsewhere may not say.

    Attributes:
        optional: it may be missing, Argo's `optional: true`; to the step it is None then.
    """

    name: Literal["file", "directory", "any"]
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.noun} | none" if self.optional else self.noun

    @property
    def noun(self) -> str:
        """`file`, `directory` or `artifact`."""
        return "artifact" if self.name == "any" else self.name

    @property
    def expectation(self) -> str:
        """The values that may be passed, for error messages."""
        noun = "an artifact" if self.name == "any" else f"a {self.name} artifact"
        return f"{noun} or None" if self.optional else noun

    def feeds(self, other: ArtifactKind) -> bool:
        """Whether this may be handed to an input of kind `other`."""
        if self.optional and not other.optional:
            return False
        return self.name == other.name or "any" in (self.name, other.name)

    def problem(self, path: Path) -> str:
        """Why `path` is nothing of this kind, or empty."""
        found = "file" if path.is_file() else "directory" if path.is_dir() else ""
        if self.name == found or (self.name == "any" and found):
            return ""
        return f"there is no {self.noun} at '{path}'" + (f", but a {found}" if found else "")


@dataclass(frozen=True)
class Stored:
    """How the artifact repository keeps an output: `Annotated[File, Stored(archive=False)]`.

    Attributes:
        archive: pack it as a tar.gz, as Argo does unless told otherwise.
        key: its key in the repository's bucket; it may name variables such as `{{workflow.uid}}`.
        global_name: the name under which the whole workflow knows it.
    """

    archive: bool = True
    key: str | None = None
    global_name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Fields of Argo's artifact."""
        entry: dict[str, Any] = {} if self.archive else {"archive": {"none": {}}}
        if self.key:
            entry["s3"] = {"key": self.key}
        if self.global_name:
            entry["globalName"] = self.global_name
        return entry


File = Annotated[Path, ArtifactKind("file")]
Directory = Annotated[Path, ArtifactKind("directory")]
Artifact = Annotated[Path, ArtifactKind("any")]
