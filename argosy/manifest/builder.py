"""YAML events to trees with positions, without recursion."""

import math
from dataclasses import dataclass, field
from typing import Any

import yaml

from argosy.manifest.scalars import Scalar, key_text, resolve
from argosy.manifest.tree import Map, Mark, Path, Seq

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML built without libyaml: slower, the same events
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

__all__ = ["Builder", "Built", "Loader", "Trouble"]

# An Argo manifest nests about 20 levels, with an inline template about 40.
MAX_DEPTH = 100
# Values of one document after aliases are written out. More do not fit into an object of Kubernetes.
MAX_VALUES = 300_000
# Explicit tags under which a text may be a number or a boolean; under any other it stays a text.
_RESOLVED = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "timestamp")}


class Trouble(Exception):
    """The document cannot be read; reading stops."""

    def __init__(
        self, message: str, mark: Mark, code: str = "ARG001", path: Path = (), written: str = ""
    ) -> None:
        super().__init__(message)
        self.message, self.mark, self.code, self.path, self.written = message, mark, code, path, written


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
        plain = event.implicit[0] or event.tag in _RESOLVED
        value = resolve(event.value) if plain else event.value
        if isinstance(value, float) and not math.isfinite(value):
            problem = f"'{event.value}' is no number that JSON, and so Argo, can hold; put it in quotes"
            raise Trouble(problem, _mark(event))
        written = event.value if plain and not isinstance(value, str) else None
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, len(event.value))
        self._add(value, _mark(event), 1, len(event.value), written, plain and event.value == "<<")

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

    def _add(
        self,
        value: Any,
        mark: Mark,
        values: int,
        size: int,
        written: str | None = None,
        merge_key: bool = False,
    ) -> None:
        if not self._frames:
            self._root, self._size = value, size
            return
        frame = self._frames[-1]
        frame.values += values
        frame.size += size + 3
        if frame.values > MAX_VALUES:
            raise Trouble(f"more than {MAX_VALUES:,} values once its aliases are written out", mark)
        if isinstance(frame.node, Seq):
            frame.node.put(value, mark, written)
        elif frame.key is None:
            frame.key, frame.key_mark = "<<" if merge_key else self._key(value, mark, written), mark
        else:
            self._value(frame, value, mark, written)

    def _key(self, value: Scalar | Map | Seq, mark: Mark, written: str | None) -> str:
        if isinstance(value, Map | Seq):
            raise Trouble("a key must be a text, not a list or a mapping", mark)
        try:
            key = key_text(value)
        except ValueError as error:
            raise Trouble(str(error), mark) from None
        node = self._frames[-1].node
        assert isinstance(node, Map)
        if key in node:
            message = f"key '{key}' is here a second time; the first is on line {node.marks[key][0]}"
            self._troubles.append(Trouble(message, mark, "ARG004", (*self._path(), key)))
        elif written is not None and written != key:
            message = f"the key '{written}' is read as '{key}'"
            self._troubles.append(Trouble(message, mark, "ARG015", (*self._path(), key), written))
        return key

    def _value(self, frame: _Frame, value: Any, mark: Mark, written: str | None) -> None:
        assert isinstance(frame.node, Map) and frame.key is not None
        if frame.key == "<<" and isinstance(value, Map | Seq):
            frame.merges.append((value, frame.key_mark))
        else:
            frame.node.put(frame.key, value, frame.key_mark, mark, written)
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
                    frame.node.put(key, item, base.marks[key], base.value_marks[key], base.written.get(key))


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1
