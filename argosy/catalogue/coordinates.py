"""Where the nodes of a layer stand, side by side: as near below and above their neighbours as room allows."""

import itertools
from collections.abc import Mapping, Sequence

from argosy.catalogue.layers import Key, Layers

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
