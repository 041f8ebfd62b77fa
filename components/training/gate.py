"""Gate 1 as arithmetic: may a candidate with these numbers become the champion?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from argosy.errors import StepError, UsageError

# 0.900 + 0.005 is 0.905 on paper and a hair more in binary. A billionth is far below one image in any
# validation set, and far above the rounding of such sums.
EPSILON = 1e-9


@dataclass(frozen=True)
class Thresholds:
    """What Gate 1 asks of a candidate, as shares of the validation images.

    An improvement below 0 lets a candidate through that is worse than the champion: -1 any candidate.

    Raises:
        UsageError: a threshold is out of range.
    """

    min_accuracy: float
    min_improvement: float

    def __post_init__(self) -> None:
        for name, lowest in (("min_accuracy", 0.0), ("min_improvement", -1.0)):
            value = getattr(self, name)
            if not lowest <= value <= 1.0:  # false for NaN as well
                raise UsageError(f"{name} is {value}; it must be from {lowest:g} to 1")


@dataclass(frozen=True)
class Decision:
    """The answer of Gate 1 and one sentence of reason with the numbers in it."""

    passed: bool
    reason: str

    @property
    def result(self) -> Literal["passed", "failed"]:
        """The answer as it travels between steps."""
        return "passed" if self.passed else "failed"


def decide(accuracy: float, champion: float | None, thresholds: Thresholds) -> Decision:
    """Decide whether a candidate passes.

    A candidate passes if its accuracy is at least `min_accuracy` and, where a champion exists, at least the
    champion's accuracy plus `min_improvement`. Equal counts as enough, to within `EPSILON`.

    Args:
        accuracy: the candidate's best validation accuracy, 0 to 1.
        champion: the champion's; None where there is no champion.
        thresholds: what is asked.

    Raises:
        StepError: an accuracy is not a number from 0 to 1. A candidate that cannot be judged has not failed.
    """
    check_accuracy("candidate", accuracy)
    if not _at_least(accuracy, thresholds.min_accuracy):
        return Decision(False, f"accuracy {accuracy:.4f} is below the required {thresholds.min_accuracy:.4f}")
    if champion is None:
        return Decision(
            True, f"accuracy {accuracy:.4f} >= {thresholds.min_accuracy:.4f}, and no champion yet"
        )
    check_accuracy("champion", champion)
    needed = champion + thresholds.min_improvement
    bar = f"{needed:.4f} (champion {champion:.4f} + {thresholds.min_improvement:.4f})"
    if not _at_least(accuracy, needed):
        return Decision(False, f"accuracy {accuracy:.4f} is below {bar}")
    return Decision(True, f"accuracy {accuracy:.4f} >= {bar}")


def check_accuracy(who: str, accuracy: float) -> None:
    """Refuse what cannot be compared.

    Raises:
        StepError: `accuracy` of `who` is not a number from 0 to 1.
    """
    if not (math.isfinite(accuracy) and 0.0 <= accuracy <= 1.0):
        raise StepError(f"the {who}'s accuracy is {accuracy}, not a number from 0 to 1")


def _at_least(value: float, bound: float) -> bool:
    return value >= bound - EPSILON
