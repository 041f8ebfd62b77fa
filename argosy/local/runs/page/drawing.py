"""The graph of a run: its manifest as `argosy graph` lays it out, each box one that can be clicked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from typing import Any

from argosy.catalogue.graph import Diagram, Edge, Node, read_drawing
from argosy.catalogue.layout import Box, place
from argosy.catalogue.svg import MARGIN, TINTS, Painter
from argosy.errors import ManifestError

_ALIKE = 8
"""Tasks that wait for the same, are waited for by the same and run the same: so many are one box."""

ROOM = "◌ 00m00s  "
"""Begins the second line of each box, in the place of its phase and time, which the page writes there."""


def draw(manifest: Mapping[str, Any]) -> str:
    """An SVG element, boxes with their node's name in `data-step`; empty if it cannot be drawn."""
    try:
        drawing = read_drawing(manifest)
        main = place(folded(drawing.main))
        handler = place(folded(drawing.exit)) if drawing.exit else None
    except ManifestError:
        return ""
    painter = _Clickable({tint: TINTS[n % len(TINTS)] for n, tint in enumerate(drawing.tints)})
    parts = [*painter.diagram(main, MARGIN, MARGIN)]
    width, height = main.width, main.height
    if handler is not None:
        parts += painter.diagram(handler, MARGIN, MARGIN + height + 40, "onExit")
        width, height = max(width, handler.width), height + 40 + handler.height
    wide, high = width + 2 * MARGIN, height + 2 * MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" id="dag">'
    return "\n".join([head, *parts, "</svg>"])


class _Clickable(Painter):
    """Puts each box into a group that the page finds again."""

    def box(self, box: Box, x: float, y: float, prefix: str = "") -> Iterator[str]:
        name = self.path(box.node, prefix)
        label = escape(name, quote=True)
        yield f'<g class="node" data-step="{label}" tabindex="0" role="button" aria-label="{label}">'
        yield from super().box(box, x, y, prefix)
        yield "</g>"


def folded(diagram: Diagram) -> Diagram:
    """The diagram with tasks that are alike in one box."""
    waits, waited = defaultdict(list), defaultdict(list)
    for edge in diagram.edges:
        waits[edge.target].append((edge.source, edge.way))
        waited[edge.source].append((edge.target, edge.way))
    groups: dict[Any, list[Node]] = defaultdict(list)
    for node in (replace(n, detail=f"{ROOM}{n.detail}") for n in diagram.nodes):
        inside = node.inside.title if node.inside else ""
        alike = (node.detail, node.shape, node.when, node.tint, inside and node.name)
        groups[(alike, tuple(sorted(waits[node.name])), tuple(sorted(waited[node.name])))].append(node)
    first: dict[str, str] = {}
    nodes = []
    for group in groups.values():
        if len(group) >= _ALIKE:
            first |= {node.name: group[0].name for node in group}
            nodes.append(replace(group[0], loop=f"and {len(group) - 1} like it"))
        else:
            nodes += [replace(n, inside=folded(n.inside) if n.inside else None) for n in group]
    edges = dict.fromkeys(
        Edge(first.get(e.source, e.source), first.get(e.target, e.target), e.way) for e in diagram.edges
    )
    return Diagram(diagram.title, tuple(nodes), tuple(edges))
