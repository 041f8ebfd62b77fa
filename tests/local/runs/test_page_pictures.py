"""What a screenshot of the page shows: every text that the document has there is painted, and can be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.local.runs.browser import Browser
from tests.local.runs.conftest import GATED, Made
from tests.local.runs.test_page import LOOP, show, view
from tests.local.runs.test_page import browser as browser

READABLE, SEEN = 4.5, 3.0
"""WCAG's least contrast of a text, or of a symbol, and what is behind it."""
TEXTS = "h1, #phase, #facts, #tally span, nav button, #dag text, aside *, .row *, #axis *, .view *"
VISIBLE = f"""[...document.querySelectorAll({json.dumps(TEXTS)})]
    .filter((e) => e.children.length === 0 && e.textContent.trim() && e.checkVisibility())
    .map((e) => [e.textContent.trim(), e.getBoundingClientRect()])
    .filter(([, b]) => b.width > 4 && b.x >= 0 && b.right <= innerWidth)
    .filter(([, b]) => b.y >= 0 && b.bottom <= innerHeight)
    .map(([text, b]) => [text, b.x, b.y, b.right, b.bottom])"""


def luminance(colour: tuple[int, int, int]) -> float:
    """WCAG's relative luminance, 0 to 1."""
    parts = [c / 255 for c in colour]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(picture: Image.Image) -> float:
    """The ratio of a picture's commonest colour and of that which differs most from it."""
    colours = picture.convert("RGB").getcolors(picture.width * picture.height) or []
    ground = luminance(max(colours)[1])
    pairs = (sorted((ground, luminance(colour))) for _, colour in colours)
    return max((high + 0.05) / (low + 0.05) for low, high in pairs)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["graph", "timeline", "gates", "values"])
def test_every_text_on_the_screen_can_be_read(
    made: Made, browser: Browser, tmp_path: Path, name: str, dark: bool
) -> None:
    browser.dark(dark)
    show(browser, made(GATED))
    browser.click('#dag [data-step="gate"]')
    view(browser, name)
    texts = browser.value(VISIBLE)
    browser.picture(tmp_path / "page.png")
    picture = Image.open(tmp_path / "page.png")
    found = {text: round(contrast(picture.crop(tuple(map(int, place)))), 1) for text, *place in texts}
    assert len(found) > 15 and "pipe-abc12" in found
    least = {text: READABLE if len(text) > 1 else SEEN for text in found}
    assert {text: ratio for text, ratio in found.items() if ratio < least[text]} == {}


def test_boxes_of_the_graph_lie_apart_and_in_order(made: Made, browser: Browser, tmp_path: Path) -> None:
    browser.dark(False)
    show(browser, made(LOOP))
    browser.picture(tmp_path / "page.png")
    picture = Image.open(tmp_path / "page.png").convert("RGB")
    places = browser.value(
        "Object.fromEntries([...document.querySelectorAll('#dag .node')].map((g) =>"
        " { const b = g.getBoundingClientRect(); return [g.dataset.step, [b.x, b.y, b.right, b.bottom]]; }))"
    )
    inside = {name: place for name, place in places.items() if name.startswith("group.")}
    apart = {name: place for name, place in places.items() if name not in inside}
    assert len(apart) >= 3 and inside
    for name, (x, y, right, bottom) in apart.items():
        others = [place for other, place in apart.items() if other != name]
        assert all(right <= a or c <= x or bottom <= b or d <= y for a, b, c, d in others), name
        middle, top = int((x + right) / 2), int(y)
        beside = picture.getpixel((middle, top - 6))
        assert any(picture.getpixel((middle, top + row)) != beside for row in range(4)), name
    x, y, right, bottom = apart["group"]
    assert all(x <= a and y <= b and c <= right and d <= bottom for a, b, c, d in inside.values())
