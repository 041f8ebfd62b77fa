"""A chain of steps that do nothing but add one, said with Argosy; CHAIN_STEPS says how many."""

import os
from typing import NamedTuple

from argosy import component, pipeline


class Sum(NamedTuple):
    """What came out."""

    value: int


@component(image="python:3.11-slim")
def increment(value: int) -> Sum:
    """Add one."""
    return Sum(value + 1)


@pipeline
def chain(start: int = 0) -> None:
    """One step after another."""
    value = increment(value=start).value
    for _ in range(int(os.environ["CHAIN_STEPS"]) - 1):
        value = increment(value=value).value
