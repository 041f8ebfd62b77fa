"""Two manifests of one program, compared field by field."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from argosy.manifest.parts import templates_in, with_templates


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Each path at which two manifests differ, with both values; `...` where there is none.

    Entries of a list are told apart by their names, where all have one. A template that one manifest alone
    has is compared with the one that the same task uses in the other, of which it was made.
    """
    found = _differing(before, after)
    uses = [(a, b) for path, a, b in found if path.endswith("].template")]
    before, after = (
        _with_originals(before, after, uses),
        _with_originals(after, before, [u[::-1] for u in uses]),
    )
    return _differing(before, after)


def _differing(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    left, right = dict(_leaves(before, "")), dict(_leaves(after, ""))
    paths = [*left, *(p for p in right if p not in left)]
    pairs = ((p, left.get(p, ...), right.get(p, ...)) for p in paths)
    return [(path, a, b) for path, a, b in pairs if a != b]


def _with_originals(
    manifest: Mapping[str, Any], other: Mapping[str, Any], uses: Iterable[tuple[Any, Any]]
) -> Mapping[str, Any]:
    """The manifest with a template for each that only the other has, as the same task uses it here."""
    here = {t.get("name"): t for t in templates_in(manifest)}
    there = {t.get("name") for t in templates_in(other)}
    copies = {b: {**here[a], "name": b} for a, b in uses if a in here and b in there and b not in here}
    return with_templates(manifest, [*templates_in(manifest), *copies.values()]) if copies else manifest


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
