"""A YAML file of somebody else's: KFP's, read as Python does, or a manifest, read as Argo does."""

from pathlib import Path
from typing import Any

import yaml

from argosy.declare.source import beside_caller
from argosy.errors import DeclarationError
from argosy.manifest.reading import STOPS_ARGO, read
from argosy.manifest.tree import Map, Mark, Seq


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Map:
    found = Map(_mark(node))
    found.update(loader.construct_mapping(node, deep=True))  # type: ignore[arg-type]  # KFP has any keys
    found.marks = {k.value: _mark(k) for k, _ in node.value if isinstance(k, yaml.ScalarNode)}
    return found


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> Seq:
    found = Seq(_mark(node))
    found.extend(loader.construct_sequence(node, deep=True))
    found.marks = [_mark(n) for n in node.value]
    return found


def _mark(node: yaml.Node) -> Mark:
    return node.start_mark.line + 1, node.start_mark.column + 1


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
        if not found or not all(isinstance(d, Map) for d in found):
            raise self.error("is not a mapping")
        return found

    def error(self, problem: str, line: int = 0) -> DeclarationError:
        """An error that names the file, and the line if it is known."""
        return DeclarationError(f"{self.name}:{line}: {problem}" if line else f"{self.name}: {problem}")

    def mapping(self, parent: Map, key: str) -> Map:
        """The mapping at `key`; an empty one if there is none.

        Raises:
            DeclarationError: something else stands there.
        """
        value = parent.get(key)
        if value is not None and not isinstance(value, Map):
            raise self.error(f"'{key}' is not a mapping", parent.lines.get(key, 0))
        return Map(parent.mark) if value is None else value

    def sequence(self, parent: Map, key: str) -> Seq:
        """The list at `key`; an empty one if there is none.

        Raises:
            DeclarationError: something else stands there.
        """
        value = parent.get(key)
        if value is not None and not isinstance(value, Seq):
            raise self.error(f"'{key}' is not a list", parent.lines.get(key, 0))
        return Seq() if value is None else value

    def mappings(self, parent: Map, key: str) -> list[Map]:
        """The list of mappings at `key`.

        Raises:
            DeclarationError: it is none.
        """
        found = self.sequence(parent, key)
        for entry, line in zip(found, found.lines, strict=True):
            if not isinstance(entry, Map):
                raise self.error(f"an entry of '{key}' is not a mapping", line)
        return list(found)


class Manifest(Source):
    """A manifest of Argo's, whose values are read as Argo reads them."""

    def _parse(self, text: str) -> list[Any]:
        source = read(self.name, text.encode())
        for problem in (p for d in source.documents for p in d.problems if p.code in STOPS_ARGO):
            raise self.error(f"not YAML: {problem.message}", problem.mark[0])
        found = [d.root for d in source.documents if d.root is not None]
        if not found or not all(isinstance(d, Map) for d in found):
            raise self.error("is not a mapping")
        return found
