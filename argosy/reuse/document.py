"""A YAML file whose mappings and lists know their lines."""

from pathlib import Path
from typing import Any

import yaml

from argosy.declare.source import beside_caller
from argosy.errors import DeclarationError
from argosy.manifest.reading import STOPS_ARGO, read
from argosy.manifest.tree import Map, Seq


class Mapping(dict[Any, Any]):
    """A mapping; `lines` has the line of each key, `line` its own."""

    line: int = 0
    lines: dict[Any, int]


class Sequence(list[Any]):
    """A list; `lines` has the line of each element."""

    lines: list[int]


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
    found = Mapping(loader.construct_mapping(node, deep=True))
    found.line = node.start_mark.line + 1
    found.lines = {k.value: k.start_mark.line + 1 for k, _ in node.value if isinstance(k, yaml.ScalarNode)}
    return found


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> Sequence:
    found = Sequence(loader.construct_sequence(node, deep=True))
    found.lines = [n.start_mark.line + 1 for n in node.value]
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)


class Source:
    """A file, or a text that stands for one: what is in it, and how to complain about it."""

    def __init__(self, source: str | Path) -> None:
        """A `Path`, the path of a file, or a text of several lines.

        A relative path is looked for beside the file of the user's that names it, then in the current folder.

        Raises:
            DeclarationError: the file cannot be read, or is not YAML.
        """
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            raise DeclarationError(f"{source} is a URL; download the file, and load that")
        is_text = isinstance(source, str) and "\n" in source
        path = Path() if is_text else beside_caller(Path(source))
        self.name = "<text>" if is_text else str(path)
        self.documents = self._parse(str(source) if is_text else self._read(path))

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise DeclarationError(f"cannot read '{path}': {error.strerror}") from None
        except UnicodeDecodeError:
            raise DeclarationError(f"{path}: is not text in UTF-8") from None

    def _parse(self, text: str) -> list[Any]:
        try:
            found = [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]
        except (yaml.YAMLError, RecursionError, TypeError) as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise self.error(f"not YAML: {problem}", mark.line + 1 if mark else 0) from None
        except ValueError as error:  # such as the date 2024-99-99
            raise self.error(f"not YAML: {error}") from None
        if not found or not all(isinstance(d, Mapping) for d in found):
            raise self.error("is not a mapping")
        return found

    def error(self, problem: str, line: int = 0) -> DeclarationError:
        """An error that names the file, and the line if it is known."""
        return DeclarationError(f"{self.name}:{line}: {problem}" if line else f"{self.name}: {problem}")

    def mapping(self, parent: Mapping, key: str) -> Mapping:
        """The mapping at `key`; an empty one if there is none.

        Raises:
            DeclarationError: something else stands there.
        """
        value = parent.get(key)
        if value is None:
            empty = Mapping()
            empty.line, empty.lines = parent.line, {}
            return empty
        if not isinstance(value, Mapping):
            raise self.error(f"'{key}' is not a mapping", parent.lines.get(key, 0))
        return value

    def sequence(self, parent: Mapping, key: str) -> Sequence:
        """The list at `key`; an empty one if there is none.

        Raises:
            DeclarationError: something else stands there.
        """
        value = parent.get(key)
        if value is None:
            empty = Sequence()
            empty.lines = []
            return empty
        if not isinstance(value, Sequence):
            raise self.error(f"'{key}' is not a list", parent.lines.get(key, 0))
        return value

    def mappings(self, parent: Mapping, key: str) -> list[Mapping]:
        """The list of mappings at `key`.

        Raises:
            DeclarationError: it is none.
        """
        found = self.sequence(parent, key)
        for entry, line in zip(found, found.lines, strict=True):
            if not isinstance(entry, Mapping):
                raise self.error(f"an entry of '{key}' is not a mapping", line)
        return list(found)


class Manifest(Source):
    """A manifest of Argo's, whose values are read as Argo reads them."""

    def _parse(self, text: str) -> list[Any]:
        source = read(self.name, text.encode())
        for problem in (p for d in source.documents for p in d.problems if p.code in STOPS_ARGO):
            raise self.error(f"not YAML: {problem.message}", problem.mark[0])
        found = [_lined(d.root) for d in source.documents if d.root is not None]
        if not found or not all(isinstance(d, Mapping) for d in found):
            raise self.error("is not a mapping")
        return found


def _lined(value: Any) -> Any:
    """A tree of the reader's, in the form that is looked at here."""
    if isinstance(value, Map):
        mapping = Mapping({key: _lined(item) for key, item in value.items()})
        mapping.line, mapping.lines = value.mark[0], {key: mark[0] for key, mark in value.marks.items()}
        return mapping
    if isinstance(value, Seq):
        sequence = Sequence(_lined(item) for item in value)
        sequence.lines = [mark[0] for mark in value.marks]
        return sequence
    return value
