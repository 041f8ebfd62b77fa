"""Components that make values and say what they got: they are run."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from argosy import File, component


class Fit(NamedTuple):
    """How an attempt went."""

    score: float
    name: str
    number: int
    good: bool
    tags: dict[str, Any]
    sizes: list[int]
    maybe: int | None
    report: File


class Awkward(NamedTuple):
    """A value of each type."""

    text: str
    number: int
    share: float
    flag: bool
    sizes: list[int]
    nothing: int | None


class Told(NamedTuple):
    """What came in, as JSON."""

    got: str


class Count(NamedTuple):
    """What is left, and whether to go on."""

    left: int
    word: str


@component(image="example/steps:1")
def fit(rate: float, name: str = "x") -> Fit:
    """Double the rate; rates above 100 fail."""
    if rate > 100:
        raise SystemExit(3)
    Path("report.txt").write_text(name)
    return Fit(rate * 2, name, int(rate), rate > 1, {"rate": rate}, [int(rate)], None, Path("report.txt"))


@component(image="example/steps:1")
def awkward(text: str = 'say "it\'s\\here"\n{é} <&>') -> Awkward:
    """Put out a value of each type."""
    return Awkward(text, 3, 0.5, True, [1, 2], None)


@component(image="example/steps:1")
def tell(
    floats: list[float] = [],  # noqa: B006 - a declaration, never changed
    texts: list[str] = [],  # noqa: B006
    ints: list[int] = [],  # noqa: B006
    flags: list[bool] = [],  # noqa: B006
    any: list = [],  # type: ignore[type-arg]  # noqa: B006
    config: dict[str, Any] = {},  # noqa: B006
    text: str = "",
) -> Told:
    """Say what came in, without what did not."""
    values = {k: v for k, v in locals().items() if v not in ([], {}, "")}
    return Told(json.dumps(values))


@component(image="example/steps:1")
def count_down(start: int, counter: str) -> Count:
    """Count down from `start`, one at each call; the count is kept in a file."""
    file = Path(counter)
    left = (int(file.read_text()) if file.exists() else start) - 1
    file.write_text(str(left))
    return Count(left, "go" if left else "stop")
