"""Several branches on one result, one inside another, and an else branch."""

import couler.argo as couler
from steps import count_to, flip, say

from argosy import pipeline


@pipeline()
def branches(seed: int = 1) -> None:
    """Flip a coin and go on as it falls."""
    coin = flip(seed=seed)

    def heads() -> None:
        numbers = count_to(last=3)
        couler.when(couler.bigger(numbers.count, 2), lambda: say.options(name="many")(text="more than two"))
        couler.when(
            couler.smaller_equal(numbers.count, 2), lambda: say.options(name="few")(text="two at most")
        )

    couler.when(couler.equal(coin.side, "heads"), heads)
    couler.when(couler.not_equal(coin.side, "heads"), lambda: say.options(name="else")(text="tails"))
