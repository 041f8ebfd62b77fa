"""Small components to compose with."""

from typing import Literal, NamedTuple

from argosy import File, component


class Score(NamedTuple):
    """What a gate says."""

    result: Literal["passed", "failed"]
    note: str
    score: float


class Made(NamedTuple):
    """A file and its number."""

    model: File
    number: int


@component(image="example/steps:1")
def make(name: str = "m", times: int = 1) -> Made:
    """Make a file."""
    raise NotImplementedError


@component(image="example/steps:1")
def gate(number: int, least: float = 0.5, note: str = "") -> Score:
    """Decide."""
    raise NotImplementedError


@component(image="example/steps:1")
def publish(model: File, number: int = 0) -> None:
    """Use a file."""


@component(image="example/steps:1")
def notify(text: str) -> None:
    """Tell somebody."""
