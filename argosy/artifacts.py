"""Marker types for what travels as a file: `File`, `Directory`, and `Artifact` where either may come.

All are `pathlib.Path` to Python and to type checkers.  `Annotated[File, "model.onnx"]`
gives the file a name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class ArtifactKind:
    """Whether an artifact is one file, a directory, or either: a step from elsewhere may not say."""

    name: Literal["file", "directory", "any"]

    def __str__(self) -> str:
        return "artifact" if self.name == "any" else self.name

    @property
    def expectation(self) -> str:
        """What to pass, for error messages."""
        return "an artifact" if self.name == "any" else f"a {self.name} artifact"

    def feeds(self, other: "ArtifactKind") -> bool:
        """Whether this may be handed to an input of kind `other`."""
        return self == other or "any" in (self.name, other.name)

    def matches(self, path: Path) -> bool:
        """Whether `path` exists and is of this kind."""
        if self.name == "any":
            return path.exists()
        return path.is_file() if self.name == "file" else path.is_dir()


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
