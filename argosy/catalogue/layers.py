"""Which layer each node of a diagram is drawn in, and in which order: the first half of Sugiyama's method.

K. Sugiyama, S. Tagawa, M. Toda, "Methods for Visual Understanding of Hierarchical System Structures", 1981.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from argosy.catalogue.graph import Edge
from argosy.errors import ManifestError

# An edge across several layers is a chain of points, one a layer: this is such a point's key.
Key = str | tuple[str, str, int]
_SWEEPS = 6


@dataclass(frozen=True)
class Layers:
    """Keys by layer, top first, and what lies next above and below each."""

    rows: tuple[tuple[Key, ...], ...]
    above: Mapping[Key, list[Key]]
    below: Mapping[Key, list[Key]]


def chain(edge: Edge, depth: Mapping[str, int]) -> list[Key]:
    """The keys that an edge passes, ends included."""
    between = range(depth[edge.source] + 1, depth[edge.target])
    return [edge.source, *((edge.source, edge.target, level) for level in between), edge.target]


def depths(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The layer of each node: one below the lowest that it waits for.

    Raises:
        ManifestError: tasks wait for each other in a circle.
    """
    waiting = dict.fromkeys(names, 0)
    after: dict[str, list[str]] = {n: [] for n in names}
    for edge in edges:
        waiting[edge.target] += 1
        after[edge.source].append(edge.target)
    ready = [n for n in names if not waiting[n]]
    found = dict.fromkeys(ready, 0)
    for name in ready:  # grows while it is read
        for target in after[name]:
            found[target] = max(found.get(target, 0), found[name] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    if len(ready) < len(waiting):
        circle = ", ".join(n for n in names if waiting[n])
        raise ManifestError(f"these tasks wait for each other in a circle: {circle}")
    return found


def arrange(names: Sequence[str], edges: Sequence[Edge]) -> Layers:
    """Layers whose edges cross as little as a few sweeps of medians achieve.

    Raises:
        ManifestError: tasks wait for each other in a circle.
    """
    depth = depths(names, edges)
    rows: list[list[Key]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        rows[depth[name]].append(name)
    above: dict[Key, list[Key]] = {}
    below: dict[Key, list[Key]] = {}
    for edge in edges:
        keys = chain(edge, depth)
        for level, key in enumerate(keys[1:-1], start=depth[edge.source] + 1):
            rows[level].append(key)
        for upper, lower in itertools.pairwise(keys):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    best = _sweep(rows, above, below)
    return Layers(tuple(map(tuple, best)), above, below)


def _sweep(
    rows: list[list[Key]], above: Mapping[Key, list[Key]], below: Mapping[Key, list[Key]]
) -> list[list[Key]]:
    best, fewest = [list(r) for r in rows], crossings(rows, below)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for level in order:
            fixed = rows[level - 1 if down else level + 1]
            _sort(rows[level], fixed, above if down else below)
        if (count := crossings(rows, below)) < fewest:
            best, fewest = [list(r) for r in rows], count
    return best


def _sort(row: list[Key], fixed: list[Key], neighbours: Mapping[Key, list[Key]]) -> None:
    """Each key goes to the mean place of its neighbours in the fixed row; one without keeps its place."""
    place = {key: number for number, key in enumerate(fixed)}
    own = {key: float(number) for number, key in enumerate(row)}
    for key in row:
        if found := neighbours.get(key):
            own[key] = sum(place[n] for n in found) / len(found)
    row.sort(key=lambda key: own[key])


def crossings(rows: Sequence[Sequence[Key]], below: Mapping[Key, list[Key]]) -> int:
    """How many pairs of edges cross."""
    total = 0
    for row, next_row in itertools.pairwise(rows):
        place = {key: number for number, key in enumerate(next_row)}
        ends = [sorted(place[t] for t in below.get(key, ())) for key in row]
        seen: list[int] = []
        for group in ends:
            total += sum(1 for end in group for other in seen if other > end)
            seen += group
    return total
