"""Marker types for what travels as a file: `File` and `Directory`.

Both are `pathlib.Path` to Python and to type checkers.  `Annotated[File, "model.onnx"]`
gives the file a name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


@dataclass(frozen=True)
class ArtifactKind:
    """Whether an artifact is one file or a directory."""

    name: Literal["file", "directory"]

    def __str__(self) -> str:
        return self.name

    @property
    def expectation(self) -> str:
        """What to pass, for error messages."""
        return f"a {self.name} artifact"

    def matches(self, path: Path) -> bool:
        """Whether `path` exists and is of this kind."""
        return path.is_file() if self.name == "file" else path.is_dir()


File = Annotated[Path, ArtifactKind("file")]
Directory = Annotated[Path, ArtifactKind("directory")]
