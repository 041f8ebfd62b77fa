"""Sizes and places of everything in a drawing, in pixels; what is inside of a node is laid out first."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from argosy.catalogue.graph import Diagram, Edge, Node
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
    above: dict[str, list[str]] = {n: [] for n in names}
    for edge in edges:
        above[edge.target].append(edge.source)
    found: dict[str, int] = {}
    try:
        for name in TopologicalSorter(above).static_order():
            found[name] = max((found[source] + 1 for source in above[name]), default=0)
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ManifestError(f"these tasks wait for each other in a circle: {circle}") from None
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


_PASSES = 8
# A point of a long edge is held to its line more strongly than a node: long edges become straight.
_HEAVY = 4.0


def centres(layers: Layers, widths: Mapping[Key, float], gap: float) -> dict[Key, float]:
    """The horizontal centre of each key; the leftmost edge of all is at 0."""
    found: dict[Key, float] = {}
    for row in layers.rows:
        x = 0.0
        for key in row:
            found[key] = x + widths[key] / 2
            x += widths[key] + gap
    for number in range(_PASSES):
        down = number % 2 == 0
        rows = layers.rows if down else layers.rows[::-1]
        for row in rows:
            _settle(row, found, (layers.above if down else layers.below), widths, gap)
    left = min((found[k] - widths[k] / 2 for k in found), default=0.0)
    return {key: x - left for key, x in found.items()}


def _settle(
    row: Sequence[Key],
    found: dict[Key, float],
    neighbours: Mapping[Key, list[Key]],
    widths: Mapping[Key, float],
    gap: float,
) -> None:
    """Move a row as near to its neighbours as the order and the gaps allow."""
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + gap)
    wanted, weights = [], []
    for key, offset in zip(row, offsets, strict=True):
        near = neighbours.get(key, [])
        middle = sum(found[n] for n in near) / len(near) if near else found[key]
        wanted.append(middle - offset)
        weights.append(_HEAVY if isinstance(key, tuple) else 1.0 if near else 0.1)
    for key, place, offset in zip(row, ascending(wanted, weights), offsets, strict=True):
        found[key] = place + offset


def ascending(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The ascending numbers nearest to the wanted ones, by weighted squares: pools of adjacent violators.

    M. Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete Information", 1955.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(wanted, weights, strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return [mean for mean, _, count in pools for _ in range(count)]


FONT, SMALL = 13.0, 11.0
PADDING = 14.0
ROW_GAP, COLUMN_GAP = 34.0, 26.0
CHIP = 20.0
HEADER = 26.0
FRAME = 16.0
STACK = 5.0  # how far the second sheet of a loop looks out behind the first

_NARROW, _WIDE = frozenset("iljtfrI.,:;'|!()[]/ -"), frozenset("mwMW%@")


@dataclass(frozen=True)
class Box:
    """A placed node: `x`, `y` is its upper left corner, its condition's chip included."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    inside: "Placed | None"

    @property
    def top(self) -> float:
        """Where the node itself begins, under its chip."""
        return self.y + (CHIP if self.node.when else 0.0)


@dataclass(frozen=True)
class Line:
    """A placed edge: for each layer that it passes, its `x` and the layer's upper and lower `y`."""

    edge: Edge
    stops: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Placed:
    """A diagram with its size, everything relative to its own upper left corner."""

    diagram: Diagram
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def text_width(text: str, size: float) -> float:
    """About how wide a text is in a sans-serif face: no font is asked."""
    ems = sum(0.36 if c in _NARROW else 0.95 if c in _WIDE else 0.7 if c.isupper() else 0.6 for c in text)
    return ems * size


def second_line(node: Node) -> str:
    """The lines under a node's name."""
    return ", ".join(t for t in (node.detail, node.loop) if t)


def place(diagram: Diagram) -> Placed:
    """Lay a diagram out.

    Raises:
        ManifestError: tasks wait for each other in a circle.
    """
    inner = {n.name: place(n.inside) for n in diagram.nodes if n.inside is not None}
    sizes: dict[Key, tuple[float, float]] = {n.name: _size(n, inner.get(n.name)) for n in diagram.nodes}
    layers = arrange([n.name for n in diagram.nodes], diagram.edges)
    widths = {key: sizes.get(key, (2.0, 0.0))[0] for row in layers.rows for key in row}
    x = centres(layers, widths, COLUMN_GAP)
    by_name = {n.name: n for n in diagram.nodes}
    bounds, chips, y = [], [], 0.0
    for row in layers.rows:
        nodes = [by_name[key] for key in row if isinstance(key, str)]
        chips.append(CHIP if any(n.when for n in nodes) else 0.0)
        height = max(chips[-1] + sizes[n.name][1] for n in nodes)
        bounds.append((y, y + height))
        y += height + ROW_GAP
    depth = {key: level for level, row in enumerate(layers.rows) for key in row if isinstance(key, str)}
    boxes = {}
    for node in diagram.nodes:
        width, height = sizes[node.name]
        level = depth[node.name]
        own = CHIP if node.when else 0.0
        top = bounds[level][0] + chips[level] - own  # boxes of a row begin at one height, chips above
        left = x[node.name] - width / 2
        boxes[node.name] = Box(node, left, top, width, height + own, inner.get(node.name))
    lines = tuple(_line(e, chain(e, depth), boxes, x, bounds[depth[e.source] :]) for e in diagram.edges)
    width = max((x[key] + widths[key] / 2 for key in x), default=0.0)
    return Placed(diagram, width, max(y - ROW_GAP, 0.0), tuple(boxes.values()), lines)


def _size(node: Node, inner: Placed | None) -> tuple[float, float]:
    """Width, that of its chip included, and height, without it."""
    least = max(text_width(node.when, SMALL) + 24 if node.when else 0.0, 96.0)
    detail = second_line(node)
    named = text_width(node.name, FONT) * 1.1 + 2 * PADDING + 6  # names are bold
    if inner is not None:
        title = named + text_width(detail, SMALL) + 8
        width, height = inner.width + 2 * FRAME, inner.height + HEADER + 2 * FRAME
        return max(width, title, least), height
    width = max(named, text_width(detail, SMALL) + 2 * PADDING + 6, least)
    return width, 46.0 if detail else 34.0


def _line(
    edge: Edge, keys: list[Key], boxes: dict[str, Box], x: dict[Key, float], bounds: list[tuple[float, float]]
) -> Line:
    stops = [(x[key], upper, lower) for key, (upper, lower) in zip(keys, bounds, strict=False)]
    source, target = boxes[edge.source], boxes[edge.target]
    stops[0] = (stops[0][0], source.y + source.height, stops[0][2])
    behind = STACK if target.node.loop and not target.node.when else 0.0
    stops[-1] = (stops[-1][0], stops[-1][1], target.y - behind)
    return Line(edge, tuple(stops))
