"""Where something stands in the settings file: its line, and a number as it is written."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from argosy.errors import UsageError
from argosy.lint.registry import render
from argosy.manifest.reading import OwnLoader

_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Place:
    """A key of the settings file; as text its file, line and path."""

    file: Path
    path: tuple[str | int, ...] = ()

    def __truediv__(self, key: object) -> "Place":
        return Place(self.file, (*self.path, key if isinstance(key, int) else str(key)))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {render(self.path)}"

    @property
    def line(self) -> int:
        """The key's line; where it is not there, that of the nearest one around it."""
        return self._found()[0]

    @property
    def written(self) -> str | None:
        """The scalar that stands here without quotes, as it is written."""
        node = self._found()[1]
        return node.value if isinstance(node, yaml.ScalarNode) and node.style is None else None

    def error(self, problem: str) -> UsageError:
        """An error at this place."""
        return UsageError(f"{self}: {problem}")

    def _found(self) -> tuple[int, yaml.Node | None]:
        """The line of the innermost key that is there, and the value at the whole path."""
        try:
            node = _root(self.file.read_bytes())
        except OSError:
            node = None
        line = 1
        for part in self.path:
            found = _child(node, part)
            if found is None:
                return line, None
            line, node = found
        return line, node


@lru_cache(maxsize=4)
def _root(text: bytes) -> yaml.Node | None:
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=OwnLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None
    return root


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line of a key or an entry, and its value; a merged mapping counts after the node's own keys."""
    if isinstance(node, yaml.SequenceNode):
        entry = node.value[part] if isinstance(part, int) and part < len(node.value) else None
        return None if entry is None else (entry.start_mark.line + 1, entry)
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.tag != _MERGE and key.value == str(part):
            return key.start_mark.line + 1, value
    for key, value in node.value:
        for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if key.tag == _MERGE and (found := _child(merged, part)):
                return found
    return None
