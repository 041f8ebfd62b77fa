"""Gate 1 as a rule: may a candidate with these numbers become the champion?

Decisions for the cases that a gate meets sooner or later:

| case | decision |
|---|---|
| no champion | the threshold alone decides |
| candidate exactly at the threshold, or at champion + improvement | passes, rounding allowed for |
| candidate equal to the champion | fails, unless the improvement asked for is 0 or less |
| candidate's metric missing, NaN or infinite | error: what cannot be judged has not failed |
| champion's metric missing, NaN or infinite | error that says how to go on; the alias stays |
| champion's version deleted | its alias is gone with it: as without a champion |
| champion's run deleted | what its version noted when it was promoted counts; without such a note, error |
| champion of another data set | as `on_other_data` says: compared (default), failed, or ignored; told |
| data set of either unknown | compared, and told |
| candidate is the champion | compared with what it was compared with before; the alias stays |
| champion moves while the gate decides | decided again, against the new champion |
| two candidates promoted at once | the better gets the alias (a tie: the older version); the other meets it |
| same candidate again, same rule | the recorded answer; the alias does not move |
| same candidate again, another rule | decided anew |
| cut off anywhere and run again | goes on where it stopped, one version a run |
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import Literal

from argosy.errors import StepError, UsageError

Direction = Literal["maximize", "minimize"]
OnOtherData = Literal["compare", "fail", "ignore-champion"]
ChampionData = Literal["same", "other", "unknown", "none"]

# The training recipe's own accuracies: shares of the validation set, so a number such as 95 is a mistake.
SHARES = frozenset({"best_val_accuracy", "val_accuracy"})

# 0.900 + 0.005 is 0.905 on paper and a hair more in binary. A billionth of the numbers themselves is far
# below one image in any validation set, and far above the rounding of such sums.
EPSILON = 1e-9


@dataclass(frozen=True)
class Rule:
    """Gate 1's demands on a candidate, in the units of the metric.

    Attributes:
        min_accuracy: the threshold; the highest allowed value where the metric is minimized.
        min_improvement: how much better than the champion. Below 0 a worse candidate passes.
        metric: name of a metric of the candidate's run.
        direction: whether more of the metric is better, or less.
        on_other_data: what a champion of another data set counts for.

    Raises:
        UsageError: a number is out of range, or a word is unknown.
    """

    min_accuracy: float = 0.90
    min_improvement: float = 0.005
    metric: str = "best_val_accuracy"
    direction: Direction = "maximize"
    on_other_data: OnOtherData = "compare"

    def __post_init__(self) -> None:
        if not self.metric.strip():
            raise UsageError("metric is empty; name a metric of the run, such as best_val_accuracy")
        if self.direction not in ("maximize", "minimize"):
            raise UsageError(f"direction is {self.direction!r}; it must be maximize or minimize")
        for name, lowest in (("min_accuracy", 0.0), ("min_improvement", -1.0)):
            value = getattr(self, name)
            if self.metric in SHARES and not lowest <= value <= 1.0:  # true for NaN as well
                raise UsageError(f"{name} is {value}; for {self.metric} it must be from {lowest:g} to 1")
            if not math.isfinite(value):
                raise UsageError(f"{name} is {value}; it must be a finite number")

    def text(self) -> str:
        """The rule in one line, the same for equal rules."""
        return json.dumps(asdict(self), sort_keys=True)

    def check(self, who: str, value: float) -> None:
        """Refuse what cannot be compared.

        Raises:
            StepError: the metric's `value` of `who` is not finite, or no share where it must be one.
        """
        # MLflow keeps the largest number of all in place of infinity.
        if not abs(value) < sys.float_info.max:
            raise StepError(f"the {who}'s {self.metric} is {value}, not a finite number")
        if self.metric in SHARES and not 0.0 <= value <= 1.0:
            raise StepError(f"the {who}'s {self.metric} is {value}, not a number from 0 to 1")

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.direction == "maximize" else one < other

    def show(self, value: float) -> str:
        """A value of the metric, for people."""
        return f"{value:.4f}" if self.metric in SHARES else f"{value:.6g}"


@dataclass(frozen=True)
class Score:
    """The measure of a model: its metric, and the fingerprint of its data set ("" where unknown)."""

    value: float
    data: str = ""


@dataclass(frozen=True)
class Decision:
    """The answer of Gate 1, one sentence of reason with the numbers in it, and on whose data they rest."""

    passed: bool
    reason: str
    champion_data: ChampionData

    @property
    def result(self) -> Literal["passed", "failed"]:
        """The answer as it travels between steps."""
        return "passed" if self.passed else "failed"


def decide(candidate: Score, champion: Score | None, rule: Rule) -> Decision:
    """Decide whether a candidate passes; the table at the top of this module says how.

    Raises:
        StepError: a metric is not a finite number, or an accuracy not from 0 to 1.
    """
    rule.check("candidate", candidate.value)
    data = _champion_data(candidate, champion)
    enough, below, sign = (">=", "below", "+") if rule.direction == "maximize" else ("<=", "above", "-")
    said = f"{rule.metric} {rule.show(candidate.value)}"
    threshold = rule.show(rule.min_accuracy)
    if not _reaches(candidate.value, rule.min_accuracy, 0.0, rule):
        return Decision(False, f"{said} is {below} the required {threshold}", data)
    if champion is None:
        return Decision(True, f"{said} {enough} {threshold}, and no champion yet", data)
    if data == "other" and rule.on_other_data != "compare":
        return _on_other_data(f"{said} {enough} {threshold}", rule)
    rule.check("champion", champion.value)
    needed = _bar(champion.value, rule)
    margin = f"champion {rule.show(champion.value)} {sign} {rule.show(rule.min_improvement)}"
    bar = f"{rule.show(needed)} ({margin}{_NOTES[data]})"
    if not _reaches(candidate.value, needed, champion.value, rule):
        return Decision(False, f"{said} is {below} {bar}", data)
    return Decision(True, f"{said} {enough} {bar}", data)


_NOTES: dict[ChampionData, str] = {
    "same": "",
    "none": "",
    "other": "; it was made with another data set",
    "unknown": "; whether it was made with the same data set is unknown",
}


def _champion_data(candidate: Score, champion: Score | None) -> ChampionData:
    if champion is None:
        return "none"
    if not (candidate.data and champion.data):
        return "unknown"
    return "same" if candidate.data == champion.data else "other"


def _on_other_data(said: str, rule: Rule) -> Decision:
    """The answer where the champion's number was measured on other data and must not be compared with."""
    if rule.on_other_data == "fail":
        return Decision(False, f"{said}, but the champion was made with another data set", "other")
    return Decision(True, f"{said}; the champion was made with another data set and does not count", "other")


def _bar(champion: float, rule: Rule) -> float:
    return champion + rule.min_improvement * (1 if rule.direction == "maximize" else -1)


def _reaches(value: float, bound: float, champion: float, rule: Rule) -> bool:
    """Whether `value` is at least (at most) `bound`, give or take the rounding of what it came from."""
    slack = EPSILON * max(abs(value), abs(bound), abs(champion))
    return value >= bound - slack if rule.direction == "maximize" else value <= bound + slack
