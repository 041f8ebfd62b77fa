"""All tags of a resource, found in one walk and looked up by place."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from argosy.lint.expressions import PREFIXES, Tag, fill_nested, split, walk
from argosy.manifest.tree import Map, Path


class TagIndex:
    """Tags below each of the given places, in order of writing; `texts` are the strings that hold any.

    A tag within a tag is filled in where `known` has its value: then the outer one has a name to look up.
    """

    def __init__(self, root: Map, places: Iterable[Path], known: Mapping[str, str]) -> None:
        self.texts: list[tuple[str, Path]] = list(walk(root, ()))
        filled = ((fill_nested(value, known), path) for value, path in self.texts)
        self.tags = [Tag(inner, path, e) for value, path in filled for inner, e in split(value)]
        wanted = set(places)
        lengths = sorted({len(p) for p in wanted})
        self._below: dict[Path, list[Tag]] = defaultdict(list)
        for tag in self.tags:
            for length in lengths:
                if (place := tag.path[:length]) in wanted:
                    self._below[place].append(tag)

    def below(self, place: Path) -> list[Tag]:
        """Every tag below a place."""
        return self._below.get(place, [])

    def plain(self, place: Path) -> list[Tag]:
        """The tags below a place that Argo must resolve: no expressions, nobody else's tags."""
        tags = self._below.get(place, ())
        return [t for t in tags if not t.expression and t.text.startswith(PREFIXES) and "{{" not in t.text]
