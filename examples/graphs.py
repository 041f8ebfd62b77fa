"""Order without data: `concurrent`, `dag`, and `set_dependencies` with a list and with an expression."""

import couler.argo as couler
from steps import say

from argosy import pipeline


@pipeline()
def diamond() -> None:
    """Four steps in the shape of a diamond."""
    a, b, c, d = (say.options(name=name) for name in "abcd")
    couler.dag(
        [
            [lambda: a(text="a")],
            [lambda: a(text="a"), lambda: b(text="b")],
            [lambda: a(text="a"), lambda: c(text="c")],
            [lambda: b(text="b"), lambda: d(text="d")],
            [lambda: c(text="c"), lambda: d(text="d")],
        ]
    )


@pipeline()
def side_by_side() -> None:
    """Two steps at once, then one after both, and one that only a failure would start."""
    first, second = couler.concurrent([lambda: say(text="left"), lambda: say(text="right")])
    couler.set_dependencies(lambda: say.options(name="both")(text="both"), dependencies=[first, second])
    couler.set_dependencies(
        lambda: say.options(name="repair")(text="repair"), dependencies="say.Failed || say-2.Failed"
    )
