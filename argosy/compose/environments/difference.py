"""Two manifests of one program, compared field by field."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Each path at which two manifests differ, with both values; `...` where there is none.

    Entries of a list are told apart by their names, where all have one.
    """
    left, right = dict(_leaves(before, "")), dict(_leaves(after, ""))
    paths = [*left, *(p for p in right if p not in left)]
    pairs = ((p, left.get(p, ...), right.get(p, ...)) for p in paths)
    return [(path, a, b) for path, a, b in pairs if a != b]


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and node:
        for key, value in _keyed(node):
            yield from _leaves(value, f"{path}[{key}]")
    else:
        yield path, node


def _keyed(entries: list[Any]) -> list[tuple[Any, Any]]:
    for key in ("name", "mountPath"):
        names = [e.get(key) for e in entries if isinstance(e, Mapping)]
        if len(names) == len(entries) == len({str(n) for n in names}) and None not in names:
            return [
                (name, {k: v for k, v in entry.items() if k != key} or {})
                for name, entry in zip(names, entries, strict=True)
            ]
    return list(enumerate(entries))
