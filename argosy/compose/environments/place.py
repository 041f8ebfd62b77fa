"""Where in the user's settings something stands, for messages."""

from dataclasses import dataclass
from pathlib import Path

from argosy.errors import UsageError


@dataclass(frozen=True)
class Place:
    """A key of the settings file; as text its file, line and path."""

    file: Path
    path: tuple[str | int, ...] = ()

    def __truediv__(self, key: object) -> "Place":
        return Place(self.file, (*self.path, key if isinstance(key, int) else str(key)))

    def __str__(self) -> str:
        from argosy.lint.registry import render
        from argosy.manifest.reading import read
        from argosy.manifest.tree import locate

        try:
            documents = read(str(self.file), self.file.read_bytes()).documents
        except OSError:
            documents = []
        line = locate(documents[0].root, self.path)[0] if documents else 1
        return f"{self.file}:{line}: {render(self.path)}"

    def error(self, problem: str) -> UsageError:
        """An error at this place."""
        return UsageError(f"{self}: {problem}")
