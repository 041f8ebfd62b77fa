"""Layout and SVG: nothing overlaps, edges go down, the picture is well-formed and always the same."""

import itertools
import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from argosy.catalogue.graph import Diagram, Drawing, Edge, Node
from argosy.catalogue.layout import Placed, arrange, ascending, crossings, depths, place
from argosy.catalogue.svg import to_svg
from argosy.errors import ManifestError
from tests.catalogue.test_graph import EVERYTHING, drawing_of

SVG = "{http://www.w3.org/2000/svg}"


def random_diagram(seed: int, count: int = 30) -> Diagram:
    chance = random.Random(seed)
    names = [f"task-{n}" for n in range(count)]
    edges = [Edge(a, b) for a, b in itertools.combinations(names, 2) if chance.random() < 2 / count]
    nodes = [Node(n, when="x == y" if chance.random() < 0.2 else "") for n in names]
    return Diagram("random", tuple(nodes), tuple(edges))


def all_placed(placed: Placed) -> Iterator[Placed]:
    yield placed
    for box in placed.boxes:
        if box.inside is not None:
            yield from all_placed(box.inside)


DIAGRAMS = [drawing_of(EVERYTHING).main, *(random_diagram(seed) for seed in range(8))]


@pytest.mark.parametrize("diagram", DIAGRAMS)
def test_boxes_lie_inside_and_apart(diagram: Diagram) -> None:
    for placed in all_placed(place(diagram)):
        for box in placed.boxes:
            assert box.x >= -0.01
            assert box.x + box.width <= placed.width + 0.01
            assert 0 <= box.y <= box.y + box.height <= placed.height + 0.01
        for a, b in itertools.combinations(placed.boxes, 2):
            apart_x = a.x + a.width <= b.x or b.x + b.width <= a.x
            assert apart_x or a.y + a.height <= b.y or b.y + b.height <= a.y


@pytest.mark.parametrize("diagram", DIAGRAMS)
def test_edges_go_down_and_past_the_boxes_of_layers_between(diagram: Diagram) -> None:
    placed = place(diagram)
    for line in placed.lines:
        heights = [y for _, upper, lower in line.stops[1:-1] for y in (upper, lower)]
        ends = [line.stops[0][1], *heights, line.stops[-1][2]]
        assert ends == sorted(ends)
        for x, upper, lower in line.stops[1:-1]:
            beside = [b for b in placed.boxes if b.y < lower and b.y + b.height > upper]
            assert not [b.node.name for b in beside if b.x < x < b.x + b.width]


def test_layers_are_the_longest_ways_and_circles_are_refused() -> None:
    edges = [Edge("a", "b"), Edge("b", "c"), Edge("a", "c")]
    assert depths(["a", "b", "c", "d"], edges) == {"a": 0, "d": 0, "b": 1, "c": 2}
    with pytest.raises(ManifestError, match="in a circle: b -> c -> b"):
        arrange(["a", "b", "c"], [*edges, Edge("c", "b")])


def test_crossings_are_undone_where_they_can_be() -> None:
    edges = [Edge("a", "y"), Edge("b", "x")]
    layers = arrange(["a", "b", "x", "y"], edges)
    assert crossings([["a", "b"], ["x", "y"]], {"a": ["y"], "b": ["x"]}) == 1
    assert crossings(layers.rows, layers.below) == 0


@pytest.mark.parametrize(
    ("wanted", "weights", "found"),
    [
        ([1, 2, 3], [1, 1, 1], [1, 2, 3]),
        ([3, 1], [1, 1], [2, 2]),
        ([3, 1], [3, 1], [2.5, 2.5]),
        ([5, 1, 3, 9], [1, 1, 1, 1], [3, 3, 3, 9]),
        ([], [], []),
    ],
)
def test_places_are_the_nearest_that_ascend(
    wanted: list[float], weights: list[float], found: list[float]
) -> None:
    assert ascending(wanted, weights) == pytest.approx(found)


@pytest.mark.parametrize("diagram", DIAGRAMS)
def test_the_picture_is_well_formed_and_always_the_same(diagram: Diagram) -> None:
    drawing = Drawing('a "title" <b>', diagram, tints=("tools",))
    text = to_svg(drawing)
    assert to_svg(drawing) == text
    root = ET.fromstring(text)
    names = {e.text for e in root.iter() if e.get("class") == "name"}
    assert {n.name for n in diagram.nodes} <= names
    drawn = [e for e in root.iter(f"{SVG}path") if e.get("class", "").startswith("edge")]
    inner = [e for p in all_placed(place(diagram)) for e in p.diagram.edges]
    assert len(drawn) == len(inner)


def test_the_exit_handler_and_conditions_are_shown() -> None:
    root = ET.fromstring(to_svg(drawing_of(EVERYTHING)))
    texts = {e.text for e in root.iter() if e.text and e.tag != f"{SVG}style"}
    assert {"all", "on exit", "result == passed", "status == Failed", 'say "it" <b>'} <= texts


def test_an_empty_dag_is_an_empty_picture() -> None:
    assert ET.fromstring(to_svg(Drawing("none", Diagram("none", (), ())))).get("width")
