"""YAML values that remember where they were written, and how."""

import math
from typing import Any

from argosy.manifest.scalars import as_text, key_text

Mark = tuple[int, int]
"""Line and column, from 1."""
Path = tuple[str | int, ...]
"""Keys and positions from a document's root to a place in it."""


class Map(dict[str, Any]):
    """A mapping; `marks[key]` is the place of a key, `value_marks[key]` that of its value.

    `written[key]` is how a number or a boolean was written, such as `1.10` or `on`.
    """

    __slots__ = ("mark", "marks", "value_marks", "written")

    def __init__(self, mark: Mark = (1, 1)) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, Mark] = {}
        self.value_marks: dict[str, Mark] = {}
        self.written: dict[Any, str] = {}

    @property
    def line(self) -> int:
        """Its line."""
        return self.mark[0]

    @property
    def lines(self) -> dict[str, int]:
        """The line of each key."""
        return {key: mark[0] for key, mark in self.marks.items()}

    def put(self, key: str, value: Any, mark: Mark, value_mark: Mark, written: str | None = None) -> None:
        """Set `key`, written at `mark`, to `value`, written at `value_mark`."""
        self[key] = value
        self.marks[key] = mark
        self.value_marks[key] = value_mark
        if written is not None:
            self.written[key] = written

    def place(self, key: str) -> Mark:
        """The place of a key's value."""
        return self.value_marks.get(key, self.mark)


class Seq(list[Any]):
    """A list; `marks[i]` is the place of item i, `written` as for a mapping."""

    __slots__ = ("mark", "marks", "written")

    def __init__(self, mark: Mark = (1, 1)) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []
        self.written: dict[Any, str] = {}

    @property
    def lines(self) -> list[int]:
        """The line of each item."""
        return [mark[0] for mark in self.marks]

    def put(self, value: Any, mark: Mark, written: str | None = None) -> None:
        """Append `value`, written at `mark`."""
        if written is not None:
            self.written[len(self)] = written
        self.append(value)
        self.marks.append(mark)

    def place(self, index: int) -> Mark:
        """The place of an item."""
        return self.marks[index] if index < len(self.marks) else self.mark


def locate(root: Any, path: Path) -> Mark:
    """The place of `path` below `root`; of its nearest ancestor if the path is not there."""
    mark: Mark = getattr(root, "mark", (1, 1))
    node = root
    for part in path:
        if isinstance(node, Map) and part in node:
            mark = node.marks.get(str(part), mark)
        elif isinstance(node, Seq) and isinstance(part, int) and part < len(node.marks):
            mark = node.marks[part]
        else:
            return mark
        node = node[part]
    return mark


def place(root: Any, path: Path) -> Mark:
    """The place of the value at `path`; where `locate` finds its key."""
    node = root
    for part in path[:-1]:
        node = node[part]
    return node.place(path[-1]) if path else locate(root, path)


def marked(value: Any, mark: Mark = (1, 1)) -> Any:
    """A tree from plain dicts and lists, all of it at one place: what the SDK hands over has no file.

    Raises ValueError for a key or a number that JSON, and so Argo, has no form for.
    """
    if isinstance(value, dict):
        mapping = Map()
        for key, item in value.items():
            mapping.put(key if isinstance(key, str) else key_text(key), marked(item, mark), mark, mark)
        return mapping
    if isinstance(value, list | tuple):
        sequence = Seq()
        for item in value:
            sequence.put(marked(item, mark), mark)
        return sequence
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"'{as_text(value)}' is no number that Argo can read")
    return value


def unmarked(value: Any) -> Any:
    """The tree as plain dicts and lists."""
    if isinstance(value, Map):
        return {key: unmarked(item) for key, item in value.items()}
    return [unmarked(item) for item in value] if isinstance(value, Seq) else value
