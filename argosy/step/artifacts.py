"""Marker types for what travels as a file: `File`, `Directory`, and `Artifact` where either may come.

All are `pathlib.Path` to Python and to type checkers.  `Annotated[File, "model.onnx"]`
gives the file a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal


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
