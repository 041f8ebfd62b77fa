"""Small steps that the examples share."""

import random
from typing import Literal, NamedTuple

from argosy import component

IMAGE = "python:3.11-slim"


class Flip(NamedTuple):
    """Which side came up."""

    side: Literal["heads", "tails"]


class Numbers(NamedTuple):
    """A list, and how long it is."""

    items: list[int]
    count: int


class Said(NamedTuple):
    """What was said."""

    text: str


@component(image=IMAGE)
def flip(seed: int | None = None) -> Flip:
    """Flip a coin.

    Args:
        seed: for a coin that always falls the same way.
    """
    return Flip(random.Random(seed).choice(["heads", "tails"]))


@component(image=IMAGE)
def count_to(last: int) -> Numbers:
    """List the numbers from 1 to `last`."""
    return Numbers(list(range(1, last + 1)), last)


@component(image=IMAGE)
def say(text: str) -> Said:
    """Say something."""
    return Said(text)
