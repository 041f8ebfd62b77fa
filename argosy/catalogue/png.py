"""A drawing as PNG: the SVG, painted by resvg with a font of this machine."""

from typing import Any

from argosy.errors import UsageError

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
