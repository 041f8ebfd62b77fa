"""A sweep: fit with several learning rates side by side, choose the best, and train with it."""

from typing import Any, NamedTuple

import couler.argo as couler

from argosy import component, pipeline

IMAGE = "python:3.11-slim"


class Fit(NamedTuple):
    """How well a learning rate did.

    Args:
        rate: it.
        loss: what was left after the steps.
    """

    rate: float
    loss: float


class Choice(NamedTuple):
    """The best of several.

    Args:
        rate: its learning rate.
        report: all of them, best first.
    """

    rate: float
    report: list[str]


class Model(NamedTuple):
    """A line through the points.

    Args:
        slope: of it.
        loss: what was left.
    """

    slope: float
    loss: float


def descend(rate: float, steps: int) -> tuple[float, float]:
    """The slope of a line through five points by gradient descent, and its mean squared error."""
    points = [(float(x), 3.0 * x) for x in range(1, 6)]
    slope = 0.0
    for _ in range(steps):
        slope -= rate * sum(2 * x * (slope * x - y) for x, y in points) / len(points)
    return slope, sum((slope * x - y) ** 2 for x, y in points) / len(points)


@component(image=IMAGE)
def fit(rate: float, steps: int = 5) -> Fit:
    """Try one learning rate for a few steps."""
    return Fit(rate, descend(rate, steps)[1])


@component(image=IMAGE)
def choose(rates: list[float], losses: list[float]) -> Choice:
    """Choose the learning rate that left the least."""
    best = sorted(zip(losses, rates, strict=True))
    return Choice(best[0][1], [f"{rate}: {loss:.3g}" for loss, rate in best])


@component(image=IMAGE)
def train(config: dict[str, Any]) -> Model:
    """Train with the chosen configuration."""
    return Model(*descend(config["rate"], config["steps"]))


@pipeline()
def sweep(steps: int = 50) -> None:
    """Find a learning rate and train with it."""
    fits = couler.map(lambda rate: fit(rate=rate), [0.001, 0.01, 0.05, 0.2])
    choice = choose(rates=fits.rate, losses=fits.loss)
    train(config={"rate": choice.rate, "steps": steps})
