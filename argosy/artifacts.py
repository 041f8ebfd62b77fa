"""Marker types for what travels as a file: `File`, `Directory`, and `Artifact` where either may come.

All are `pathlib.Path` to Python and to type checkers.  `Annotated[File, "model.onnx"]`
gives the file a name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


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


File = Annotated[Path, ArtifactKind("file")]
Directory = Annotated[Path, ArtifactKind("directory")]
Artifact = Annotated[Path, ArtifactKind("any")]
