"""YAML values that remember where they were written."""

from typing import Any

from argosy.lint.violation import Path

Mark = tuple[int, int]


class Map(dict[str, Any]):
    """A mapping; `marks[key]` is the place of a key, `value_marks[key]` that of its value."""

    __slots__ = ("mark", "marks", "quoted", "value_marks")

    def __init__(self, mark: Mark = (1, 1)) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, Mark] = {}
        self.value_marks: dict[str, Mark] = {}

    def put(self, key: str, value: Any, mark: Mark, value_mark: Mark) -> None:
        """Set `key`, written at `mark`, to `value`, written at `value_mark`."""
        self[key] = value
        self.marks[key] = mark
        self.value_marks[key] = value_mark


class Seq(list[Any]):
    """A list; `marks[i]` is the place of item i."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark = (1, 1)) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []

    def put(self, value: Any, mark: Mark) -> None:
        """Append `value`, written at `mark`."""
        self.append(value)
        self.marks.append(mark)


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


def plain(value: Any) -> "Map | Seq | Any":
    """A tree from plain dicts and lists, all of it at line 1: what the SDK hands over has no file."""
    if isinstance(value, dict):
        mapping = Map()
        for key, item in value.items():
            mapping.put(str(key), plain(item), (1, 1), (1, 1))
        return mapping
    if isinstance(value, list | tuple):
        sequence = Seq()
        for item in value:
            sequence.put(plain(item), (1, 1))
        return sequence
    return value
