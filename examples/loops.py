"""Loops: over a list, over the JSON that a step puts out, with a body of several steps, and recursion."""

from typing import Any

import couler.argo as couler
from steps import Flip, count_to, flip, say

from argosy import pipeline


@pipeline()
def fan_out(words: list[str] = ["one", "two"]) -> None:  # noqa: B006 - a declaration, never changed
    """Fan out over a list, a parameter and an output."""
    couler.map(lambda word: say.options(name="fixed")(text=word), ["red", "green"])
    couler.map(lambda word: say.options(name="given")(text=word), words)
    numbers = count_to(last=3)
    couler.map(lambda number: say.options(name="counted")(text=f"no. {number}"), numbers.items)


@pipeline()
def body_of_steps() -> None:
    """A body of two steps, the second only if the first says so."""

    def body(item: Any) -> Any:
        numbers = count_to(last=item["last"])
        couler.when(couler.bigger(numbers.count, 1), lambda: say(text=f"{item['name']} has several"))
        return numbers

    couler.map(body, [{"name": "a", "last": 1}, {"name": "b", "last": 2}])


@pipeline()
def until_heads() -> None:
    """Flip until it is heads: a template that calls itself."""

    def once() -> Flip:
        return flip()

    couler.exec_while(couler.equal("tails"), once)
