"""Sizes and places of everything in a drawing, in pixels; what is inside of a node is laid out first."""

from dataclasses import dataclass

from argosy.catalogue.coordinates import centres
from argosy.catalogue.graph import Diagram, Edge, Node
from argosy.catalogue.layers import Key, arrange, chain

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
    """What stands under a node's name."""
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
