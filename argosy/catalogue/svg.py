"""A drawing as SVG: no program and no font needed, light and dark, the same text for the same drawing."""

from collections.abc import Iterator
from html import escape
from typing import Any

from argosy.catalogue.graph import Drawing, Node
from argosy.catalogue.layout import (
    CHIP,
    FONT,
    FRAME,
    HEADER,
    PADDING,
    SMALL,
    STACK,
    Box,
    Line,
    Placed,
    place,
    second_line,
    text_width,
)
from argosy.errors import UsageError

MARGIN = 24.0
TITLE = 34.0
TINTS = ("#2563eb", "#0d9488", "#d97706", "#9333ea", "#db2777", "#65a30d")
_STYLE = """\
text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #0f172a }
.title { font-size: 16px; font-weight: 600 }
.name { font-size: 13px; font-weight: 600 }
.detail { font-size: 11px; fill: #64748b }
.when { font-size: 11px; fill: #92400e }
.box { fill: #ffffff; stroke: #94a3b8 }
.group { fill: #64748b; fill-opacity: .06; stroke: #94a3b8 }
.dashed { stroke-dasharray: 5 4 }
.chip { fill: #fef3c7; stroke: #f59e0b }
.edge { fill: none; stroke: #64748b; stroke-width: 1.4 }
.failure { stroke: #dc2626; stroke-dasharray: 5 4 }
.any { stroke-dasharray: 2 4 }
.head { fill: #64748b }
.failure-head { fill: #dc2626 }
.page { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e2e8f0 } .detail { fill: #94a3b8 } .when { fill: #fde68a }
  .box { fill: #1e293b; stroke: #64748b } .chip { fill: #451a03; stroke: #b45309 }
  .edge { stroke: #94a3b8 } .head { fill: #94a3b8 } .failure { stroke: #f87171 } .page { fill: #0f172a }
}"""


def to_svg(drawing: Drawing) -> str:
    """The picture.

    Raises:
        ManifestError: tasks wait for each other in a circle.
    """
    painter = Painter({tint: TINTS[n % len(TINTS)] for n, tint in enumerate(drawing.tints)})
    main = place(drawing.main)
    parts = [f'<text class="title" x="{_n(MARGIN)}" y="{_n(MARGIN + 10)}">{escape(drawing.title)}</text>']
    parts += painter.diagram(main, MARGIN, MARGIN + TITLE)
    width, y = max(main.width, text_width(drawing.title, 18)), MARGIN + TITLE + main.height
    if drawing.exit is not None:
        handler = place(drawing.exit)
        frame = (handler.width + 2 * FRAME, handler.height + HEADER + FRAME)
        parts += painter.frame(drawing.exit.title, "", MARGIN, y + 30, *frame, dashed=True)
        parts += painter.diagram(handler, MARGIN + FRAME, y + 30 + HEADER)
        width, y = max(width, frame[0]), y + 30 + frame[1]
    size = f"{_n(width + 2 * MARGIN)} {_n(y + MARGIN)}"
    wide, high = size.split()
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {size}" '
        f'role="img" aria-label="{escape(drawing.title)}">'
    )
    page = '<rect class="page" width="100%" height="100%" rx="8"/>'
    return "\n".join([head, f"<style>\n{_STYLE}\n</style>", page, *parts, "</svg>"]) + "\n"


def _n(number: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{number:.1f}".removesuffix(".0")


class Painter:
    """Writes placed diagrams as elements."""

    def __init__(self, tints: dict[str, str]) -> None:
        self.tints = tints

    def path(self, node: Node, prefix: str) -> str:
        """A task's name with those that it is inside of."""
        return f"{prefix}.{node.name}" if prefix else node.name

    def diagram(self, placed: Placed, dx: float, dy: float, prefix: str = "") -> Iterator[str]:
        """The elements of a diagram whose corner is at `dx`, `dy`; edges first, under the nodes.

        `prefix` is the path of what it is inside of.
        """
        for line in placed.lines:
            yield from self.line(line, dx, dy)
        for box in placed.boxes:
            yield from self.box(box, dx + box.x, dy + box.y, prefix)

    def box(self, box: Box, x: float, y: float, prefix: str = "") -> Iterator[str]:
        """A node, with its chip above and its diagram inside."""
        node, top = box.node, y + (box.top - box.y)
        height = box.height - (box.top - box.y)
        if node.when:
            yield from self.chip(node.when, x + box.width / 2, y)
        if box.inside is not None:
            yield from self.frame(
                node.name, second_line(node), x, top, box.width, height, stacked=bool(node.loop)
            )
            inset = (box.width - box.inside.width) / 2
            yield from self.diagram(box.inside, x + inset, top + HEADER + FRAME, self.path(node, prefix))
            return
        if node.loop:
            yield _rect("box", x + STACK, top - STACK, box.width, height)
        rounded = height / 2 if node.shape in ("approval", "repeat") else 7.0
        style = "box dashed" if node.shape == "external" else "box"
        yield _rect(style, x, top, box.width, height, rounded)
        if node.tint in self.tints:
            yield (
                f'<rect x="{_n(x + 5)}" y="{_n(top + 7)}" width="4" height="{_n(height - 14)}" rx="2" '
                f'fill="{self.tints[node.tint]}"/>'
            )
        yield from self._words(node.name, second_line(node), x + box.width / 2, top, height)

    def frame(
        self,
        title: str,
        detail: str,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        dashed: bool = False,
        stacked: bool = False,
    ) -> Iterator[str]:
        """The frame of a nested diagram."""
        if stacked:
            yield _rect("group", x + STACK, y - STACK, width, height)
            yield _rect("page", x, y, width, height)
        yield _rect("group dashed" if dashed else "group", x, y, width, height)
        text = f'<tspan class="name">{escape(title)}</tspan>'
        if detail:
            text += f'<tspan class="detail" dx="8">{escape(detail)}</tspan>'
        yield f'<text x="{_n(x + PADDING)}" y="{_n(y + 19)}">{text}</text>'

    def chip(self, text: str, middle: float, y: float) -> Iterator[str]:
        """A condition, on top of what it guards."""
        width = text_width(text, SMALL) + 16
        yield _rect("chip", middle - width / 2, y, width, CHIP - 3, 8.5)
        yield (
            f'<text class="when" text-anchor="middle" x="{_n(middle)}" y="{_n(y + 12.5)}">'
            f"{escape(text)}</text>"
        )

    def line(self, line: Line, dx: float, dy: float) -> Iterator[str]:
        """An edge: straight through each layer, a curve between two."""
        stops = [(x + dx, upper + dy, lower + dy) for x, upper, lower in line.stops]
        x, y, lower = stops[0]
        path = [f"M{_n(x)},{_n(y)}", f"V{_n(lower)}"]
        for x2, upper, y2 in stops[1:]:
            end = upper if (x2, upper, y2) != stops[-1] else y2 - 7
            start_y, end_y = lower, min(upper, end)
            bend = (start_y + end_y) / 2
            path.append(f"C{_n(x)},{_n(bend)} {_n(x2)},{_n(bend)} {_n(x2)},{_n(end_y)}")
            path.append(f"V{_n(y2 if (x2, upper, y2) != stops[-1] else end)}")
            x, lower = x2, y2
        way = {"success": "", "failure": " failure", "any": " any"}[line.edge.way]
        yield f'<path class="edge{way}" d="{" ".join(path)}"/>'
        head = "failure-head" if line.edge.way == "failure" else "head"
        yield f'<path class="{head}" d="M{_n(x)},{_n(lower)} l-4.5,-8 h9 z"/>'

    def _words(self, name: str, detail: str, middle: float, top: float, height: float) -> Iterator[str]:
        y = top + height / 2 + (FONT * 0.36 if not detail else -3)
        place_at = f'text-anchor="middle" x="{_n(middle + 3)}"'
        yield f'<text class="name" {place_at} y="{_n(y)}">{escape(name)}</text>'
        if detail:
            yield f'<text class="detail" {place_at} y="{_n(y + 16)}">{escape(detail)}</text>'


def _rect(style: str, x: float, y: float, width: float, height: float, radius: float = 7.0) -> str:
    return (
        f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
        f'rx="{_n(radius)}"/>'
    )


# One of these is on every desktop, and in the font packages of every distribution.
_FONTS = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "Noto Sans", "Segoe UI", "Roboto")
_SCALE = 2.0
_EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">%s</svg>'
_LETTER = _EMPTY % '<text x="2" y="20" font-family="sans-serif">M</text>'


def to_png(svg: str) -> bytes:
    """The picture at twice its size.

    Raises:
        UsageError: resvg-py is not installed, or this machine has no font to paint the text with.
    """
    chosen = font()
    if chosen is None:
        raise UsageError(
            f"a PNG needs a font, and this machine has none of {', '.join(_FONTS)}: install one (on Debian "
            "fonts-dejavu-core), or write an .svg"
        )
    return _painted(svg, sans_serif_family=chosen, zoom=_SCALE)


def font() -> str | None:
    """A font that this machine has: text in any other is left out without a word."""
    nothing = _painted(_EMPTY % "")
    return next((name for name in _FONTS if _painted(_LETTER, sans_serif_family=name) != nothing), None)


def _painted(svg: str, **options: Any) -> bytes:
    try:
        from resvg_py import svg_to_bytes
    except ModuleNotFoundError:
        raise UsageError("a PNG needs resvg-py: run `pip install 'argosy[png]'`, or write an .svg") from None
    return bytes(svg_to_bytes(svg_string=svg, **options))
