"""Files as an environment makes them, for the linter: findings stay at the lines of the files."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from argosy.manifest.reading import Document, Source
from argosy.manifest.tree import Map, Mark, Seq

Overlaid = Callable[[dict[str, Any]], dict[str, Any]]


def overlaid(source: Source, over: Overlaid) -> Source:
    """The file with `over` applied to each manifest of Argo's in it."""
    return replace(source, documents=[_document(d, over) for d in source.documents])


def _document(document: Document, over: Overlaid) -> Document:
    if not document.is_argo:
        return document
    manifest = over(document.root)
    return (
        document if manifest is document.root else replace(document, root=remarked(manifest, document.root))
    )


def remarked(value: Any, written: Any, mark: Mark = (1, 1)) -> Any:
    """`value` as a tree with the places of `written`; what is not there has those of what it is in."""
    mark = getattr(written, "mark", mark)
    if isinstance(value, dict):
        mapping = Map(mark)
        for key, item in value.items():
            known = isinstance(written, Map) and key in written.marks
            here = written.marks[key] if known else mark
            there = written.value_marks[key] if known else mark
            before = written[key] if known else None
            mapping.put(key, remarked(item, before, here), here, there, _as_written(written, key, item))
        return mapping
    if isinstance(value, list):
        sequence = Seq(mark)
        for number, item in enumerate(value):
            found = _same(item, number, written)
            here = written.marks[found] if found is not None else mark
            before = written[found] if found is not None else None
            sequence.put(remarked(item, before, here), here, _as_written(written, found, item))
        return sequence
    return value


def _as_written(written: Any, key: Any, value: Any) -> str | None:
    """How a number or a boolean was written, if it is still the one that was there."""
    text: str | None = getattr(written, "written", {}).get(key)
    return text if text is not None and written[key] is value else None


def _same(item: Any, number: int, written: Any) -> int | None:
    """Which entry of a list was `item`: the one of its name, or at its place if it has none."""
    if not isinstance(written, Seq):
        return None
    name = item.get("name") if isinstance(item, dict) else None
    if name is None:
        return number if number < len(written) else None
    names = [e.get("name") if isinstance(e, dict) else None for e in written]
    return names.index(name) if name in names else None
