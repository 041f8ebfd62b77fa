"""YAML events to trees with positions, without recursion."""

from dataclasses import dataclass, field
from typing import Any

import yaml

from argosy.lint.limits import MAX_DEPTH, MAX_VALUES
from argosy.lint.scalars import as_text, resolve
from argosy.lint.tree import Map, Mark, Seq
from argosy.lint.violation import Path

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml: slower, the same events
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

__all__ = ["Builder", "Built", "Loader", "Trouble"]

_TAGS = {"tag:yaml.org,2002:str", "!", "!!str"}


class Trouble(Exception):
    """The document cannot be read; reading stops."""

    def __init__(self, message: str, mark: Mark, code: str = "ARG001", path: Path = ()) -> None:
        super().__init__(message)
        self.message, self.mark, self.code, self.path = message, mark, code, path


@dataclass
class Built:
    """A finished document: its tree, duplicate keys met on the way, and its size with aliases written out."""

    root: Any
    troubles: list[Trouble]
    size: int  # characters, about


@dataclass
class _Frame:
    node: Map | Seq
    mark: Mark
    anchor: str | None
    values: int = 1
    size: int = 2
    key: str | None = None
    key_mark: Mark = (1, 1)
    merges: list[tuple[Any, Mark]] = field(default_factory=list)


class Builder:
    """Feed it events; it answers with a document at each document's end."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._troubles: list[Trouble] = []
        self._root: Any = None
        self._size = 0

    def feed(self, event: Any) -> Built | None:
        """Take one event; a document when it ends. Raises Trouble where reading must stop."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(Map(_mark(event)), event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(Seq(_mark(event)), event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            done = Built(self._root, self._troubles, self._size)
            self._reset()
            return done
        return None

    def _scalar(self, event: Any) -> None:
        quoted = not event.implicit[0] and (event.tag is None or event.tag in _TAGS or event.implicit[1])
        value = event.value if quoted else resolve(event.value)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, len(event.value))
        plain_merge = event.value == "<<" and not quoted
        self._add(value, _mark(event), 1, len(event.value), plain_merge)

    def _open(self, node: Map | Seq, event: Any) -> None:
        mark = _mark(event)
        if len(self._frames) >= MAX_DEPTH:
            raise Trouble(f"nested more than {MAX_DEPTH} levels deep", mark)
        if self._frames and isinstance(self._frames[-1].node, Map) and self._frames[-1].key is None:
            raise Trouble("a key must be a text, not a list or a mapping; quote '{{...}}'", mark)
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._frames.append(_Frame(node, mark, event.anchor))

    def _close(self) -> None:
        frame = self._frames.pop()
        if frame.merges:
            _merge(frame)
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.node, frame.values, frame.size)
        self._add(frame.node, frame.mark, frame.values, frame.size)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise Trouble(f"alias '*{event.anchor}' names no anchor that is complete before it", _mark(event))
        self._add(self._anchors[event.anchor][0], _mark(event), *self._anchors[event.anchor][1:])

    def _add(self, value: Any, mark: Mark, values: int, size: int, merge_key: bool = False) -> None:
        if not self._frames:
            self._root, self._size = value, size
            return
        frame = self._frames[-1]
        frame.values += values
        frame.size += size + 3
        if frame.values > MAX_VALUES:
            raise Trouble(f"more than {MAX_VALUES:,} values once its aliases are written out", mark)
        if isinstance(frame.node, Seq):
            frame.node.put(value, mark)
        elif frame.key is None:
            self._key(frame, value, mark, merge_key)
        else:
            self._value(frame, value, mark)

    def _key(self, frame: _Frame, value: Any, mark: Mark, merge_key: bool) -> None:
        if isinstance(value, Map | Seq):
            raise Trouble("a key must be a text, not a list or a mapping", mark)
        frame.key, frame.key_mark = "<<" if merge_key else as_text(value), mark
        if merge_key:
            return
        if frame.key in frame.node:
            path = (*self._path(), frame.key)
            first = frame.node.marks[frame.key][0]  # type: ignore[union-attr,call-overload]
            message = f"key '{frame.key}' is here a second time; the first is on line {first}"
            self._troubles.append(Trouble(message, mark, "ARG004", path))

    def _value(self, frame: _Frame, value: Any, mark: Mark) -> None:
        assert isinstance(frame.node, Map) and frame.key is not None
        if frame.key == "<<" and isinstance(value, Map | Seq):
            frame.merges.append((value, frame.key_mark))
        else:
            frame.node.put(frame.key, value, frame.key_mark, mark)
        frame.key = None

    def _path(self) -> Path:
        path: list[str | int] = []
        for frame in self._frames[:-1]:
            path.append(len(frame.node) if isinstance(frame.node, Seq) else frame.key or "")
        return tuple(path)


def _merge(frame: _Frame) -> None:
    """`<<: *base`: what the mapping does not say itself comes from `base`."""
    for value, mark in frame.merges:
        for base in value if isinstance(value, Seq) else [value]:
            if not isinstance(base, Map):
                raise Trouble("'<<' merges mappings only", mark)
            for key, item in base.items():
                if key not in frame.node:
                    assert isinstance(frame.node, Map)
                    frame.node.put(key, item, base.marks[key], base.value_marks[key])


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1
