"""A mapping somewhere in a manifest, read without ever raising, however wrong the manifest is."""

from dataclasses import dataclass
from typing import Any

from argosy.manifest.tree import Map, Path, Seq

LOCATIONS = ("artifactory", "azure", "git", "gcs", "hdfs", "http", "oss", "raw", "s3")
EMPTY = Map()


def mapping(value: Any) -> Map:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Map) else EMPTY


def sequence(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, Seq) else []


def texts(value: Any) -> list[str]:
    """The strings of a list; whatever else it holds is the schema's to report."""
    return [item for item in sequence(value) if isinstance(item, str)]


def text(value: Any) -> str:
    """The value if it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, eq=False)
class Entry:
    """A mapping somewhere in the manifest: a parameter, an artifact, a hook, a container."""

    path: Path
    body: Map

    @property
    def name(self) -> str:
        """Its `name`, as Argo reads it."""
        name = self.body.get("name")
        return "" if name is None or isinstance(name, Map | Seq) else str(name)

    def get(self, *keys: str) -> Any:
        """The value under nested keys, or None."""
        node: Any = self.body
        for key in keys:
            node = mapping(node).get(key)
        return node

    def at(self, *keys: str | int) -> Path:
        """The path below this entry."""
        return (*self.path, *keys)

    def entries(self, *keys: str) -> "list[Entry]":
        """The mappings of the list under `keys`; found once, for many rules ask."""
        known: dict[tuple[str, ...], list[Entry]] = self.__dict__.setdefault("_entries", {})
        if keys not in known:
            known[keys] = self._find(keys)
        return known[keys]

    def _find(self, keys: tuple[str, ...]) -> "list[Entry]":
        node: Any = self.body
        for key in keys:
            node = mapping(node).get(key)
        return [Entry((*self.path, *keys, i), x) for i, x in enumerate(sequence(node)) if isinstance(x, Map)]


def has_location(entry: Entry) -> bool:
    """True if the artifact says where it is, or at least under which key (Argo completes the rest)."""
    for kind in LOCATIONS:
        place = entry.body.get(kind)
        if isinstance(place, Map):
            return _placed(kind, place)
    return isinstance(entry.body.get("plugin"), Map)


def _placed(kind: str, place: Map) -> bool:
    if kind == "raw":
        return True
    if kind == "hdfs":
        return bool(place.get("addresses")) or bool(place.get("path"))
    key = {"artifactory": "url", "azure": "blob", "git": "repo", "http": "url"}.get(kind, "key")
    return bool(place.get(key))
