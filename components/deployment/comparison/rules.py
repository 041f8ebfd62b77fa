"""Gate 3's table of rules: each compares one number of the candidate with the live version's.

| rule | what is limited | limit (default) |
| --- | --- | --- |
| error-rate | share of requests that the candidate alone fails | max_error_rate (0) |
| accuracy | live accuracy less the candidate's, on labelled images | max_accuracy_drop (0.01) |
| agreement | share of answers that name the same class | min_agreement (0.8) |
| difference | largest difference of two outputs, where both come from one training | max_difference (1e-4) |
| p50-latency | the candidate's over the live version's, by more than a millisecond | max_p50_ratio (1.25) |
| p95-latency | the same | max_p95_ratio (1.5) |
| memory | what ONNX Runtime takes for each file, by more than 16 MiB | max_memory_ratio (1.5) |

A rule whose numbers are not there (no labels, one output, no answers) is listed as not applied and decides
nothing; errors always are there.  Two models that pass Gate 1 are both right on nine of ten images, so they
agree on eight at least: the default of min_agreement.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from argosy.errors import UsageError

MIB = 2**20
# Below these differences a ratio is noise: the same model twice would fail.
_NOISE_MS, _NOISE_BYTES = 1.0, 16 * MIB
_ROUNDING = 1e-9

Result = Literal["passed", "failed"]
Sides = tuple[float | None, float | None]  # the live version's number and the candidate's


@dataclass(frozen=True)
class Limits:
    """The thresholds of the rules.

    Attributes:
        max_error_rate: 0 to 1; beyond the requests that the live version fails, too.
        max_accuracy_drop: 0 to 1.
        min_agreement: 0 to 1.
        max_difference: absolute, of any element of any output.
        max_p50_ratio, max_p95_ratio: of latencies; 2 is twice as slow as live.
        max_memory_ratio: of bytes.
    """

    max_error_rate: float = 0.0
    max_accuracy_drop: float = 0.01
    min_agreement: float = 0.8
    max_difference: float = 1e-4
    max_p50_ratio: float = 1.25
    max_p95_ratio: float = 1.5
    max_memory_ratio: float = 1.5

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Limits:
        """The defaults, with what is given in their place.

        Raises:
            UsageError: a name is no limit's, or a value is not a number in its range.
        """
        known = [field.name for field in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise UsageError(f"limits: {name[:80]!r} is no limit; there is: {', '.join(known)}")
            _check(name, value)
        return cls(**{name: float(value) for name, value in given.items()})


def _check(name: str, value: object) -> None:
    highest = 1.0 if name in ("max_error_rate", "max_accuracy_drop", "min_agreement") else math.inf
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # A whole number of JSON may be larger than any float.
    if not number or not 0 <= value <= min(highest, sys.float_info.max):  # type: ignore[operator]
        span = "from 0 to 1" if highest == 1.0 else "from 0 up"
        raise UsageError(f"limits: {name} is {repr(value)[:80]}; it must be a number {span}")


@dataclass(frozen=True)
class Side:
    """The numbers of one version; None where it could not be.

    Attributes:
        accuracy: share of labelled images that it named right.
        error_rate: share of requests that it refused, or answered with numbers that are not finite.
        p50_ms, p95_ms: of the requests that both answered.
        memory_bytes: what ONNX Runtime takes for its file and one inference.
    """

    accuracy: float | None
    error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Measured:
    """Both sides, and what is between them.

    Attributes:
        extra_error_rate: share of requests that the candidate failed and the live version did not.
        agreement: share of answers that name the same class; None where outputs name none.
        difference: the largest absolute difference of outputs of the same shape.
        same_network: both versions were exported from one training, or are the same file.
        first_error: the candidate's first error that the live version did not have; "".
    """

    live: Side
    candidate: Side
    extra_error_rate: float
    agreement: float | None
    difference: float | None
    same_network: bool
    first_error: str


@dataclass(frozen=True)
class Finding:
    """One rule applied.

    Attributes:
        rule: its name.
        live, candidate: the numbers of both sides, where the rule has them.
        value: what is compared with the limit; None where the rule is not applied.
        limit: the threshold.
        passed: whether it holds; a rule that is not applied holds.
        note: why it is not applied, or what went wrong.
    """

    rule: str
    live: float | None
    candidate: float | None
    value: float | None
    limit: float
    passed: bool
    note: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.rule}: not applied, {self.note}"
        held = "within" if self.passed else "beyond"
        note = f" ({self.note})" if self.note else ""
        return f"{self.rule} {self.value:.4g} is {held} {self.limit:g}{note}"

    def to_dict(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


_NO_ANSWERS = "nothing was answered by both"


def judge(measured: Measured, limits: Limits) -> list[Finding]:
    """Every rule of the table, in its order."""
    live, new = measured.live, measured.candidate
    drop = None if live.accuracy is None or new.accuracy is None else live.accuracy - new.accuracy
    difference = measured.difference if measured.same_network else None
    other = _NO_ANSWERS if measured.same_network else "they come from two trainings"
    p50, p95 = (live.p50_ms, new.p50_ms), (live.p95_ms, new.p95_ms)
    memory, unknown = (live.memory_bytes, new.memory_bytes), "it is not known of both"
    return [
        _errors(measured, limits.max_error_rate),
        _at_most("accuracy", (live.accuracy, new.accuracy), drop, limits.max_accuracy_drop, "no labels"),
        _at_least("agreement", measured.agreement, limits.min_agreement, "no answers that name classes"),
        _at_most("difference", (None, None), difference, limits.max_difference, other),
        _ratio("p50-latency", p50, limits.max_p50_ratio, _NOISE_MS, _NO_ANSWERS),
        _ratio("p95-latency", p95, limits.max_p95_ratio, _NOISE_MS, _NO_ANSWERS),
        _ratio("memory", memory, limits.max_memory_ratio, _NOISE_BYTES, unknown),
    ]


def verdict(findings: list[Finding]) -> tuple[Result, str]:
    """The result, and why in one line."""
    broken = [finding for finding in findings if not finding.passed]
    if broken:
        return "failed", "; ".join(map(str, broken))
    applied = sum(finding.value is not None for finding in findings)
    return "passed", f"{applied} of {len(findings)} rules apply, and all of them hold"


def _errors(measured: Measured, limit: float) -> Finding:
    sides = (measured.live.error_rate, measured.candidate.error_rate)
    found = _at_most("error-rate", sides, measured.extra_error_rate, limit, "")
    return found if found.passed else replace(found, note=measured.first_error)


def _at_most(rule: str, sides: Sides, value: float | None, limit: float, missing: str) -> Finding:
    if value is None:
        return Finding(rule, *sides, None, limit, True, missing)
    # The smallest step of a share is 1 / requests, so this only forgives rounding.
    return Finding(rule, *sides, value, limit, value <= limit + _ROUNDING)


def _at_least(rule: str, value: float | None, limit: float, missing: str) -> Finding:
    if value is None:
        return Finding(rule, None, None, None, limit, True, missing)
    return Finding(rule, None, None, value, limit, value >= limit - _ROUNDING)


def _ratio(rule: str, sides: Sides, limit: float, noise: float, missing: str) -> Finding:
    live, new = sides
    if live is None or new is None:
        return Finding(rule, live, new, None, limit, True, missing)
    value, small = new / max(live, _ROUNDING), new - live <= noise
    why = "the difference is too small to tell" if small and value > limit else ""
    return Finding(rule, live, new, value, limit, value <= limit or small, why)
