"""The gate of a smaller variant: does it name the same classes, and is it about as often right?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from argosy.components.training.numerical.comparison import Difference, compare
from argosy.components.training.numerical.predictors import Array, Predict
from argosy.components.training.numerical.samples import RealSamples, real_batches
from argosy.components.training.quantized.quantization import Variant
from argosy.errors import StepError, UsageError

_ROUNDING = 1e-9  # far below one sample


@dataclass(frozen=True)
class VariantRule:
    """The demands on a variant.

    Attributes:
        variant: its number format.
        min_agreement: share of inputs on which it must name the class that the original names, 0 to 1.
        max_accuracy_drop: by how much its accuracy on labelled inputs may be lower, 0 to 1.
        samples: how many random inputs stand in where there are no real ones.
        seed: start of their random numbers.

    Raises:
        UsageError: a number is out of range, or the variant is unknown.
    """

    variant: Variant
    min_agreement: float
    max_accuracy_drop: float
    samples: int
    seed: int

    def __post_init__(self) -> None:
        if self.variant not in ("int8", "fp16"):
            raise UsageError(f"variant is {self.variant!r}; it must be int8 or fp16")
        for name in ("min_agreement", "max_accuracy_drop"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:  # true for NaN as well
                raise UsageError(f"{name} is {value}; it must be from 0 to 1")
        if not 1 <= self.samples <= 100_000:
            raise UsageError(f"samples is {self.samples}; it must be from 1 to 100000")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; it must be 0 or more")

    def text(self) -> str:
        """The rule in one line, the same for equal rules."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Judged:
    """The numbers of a variant, against the model that it was made from.

    Attributes:
        accuracy_drop: accuracy of the original minus that of the variant; None without labels.
        inputs: what was compared on, for people.
    """

    difference: Difference
    accuracy_drop: float | None
    inputs: str

    def result(self, rule: VariantRule) -> tuple[Literal["passed", "failed"], str]:
        """The gate's answer and one sentence of reason. NaN never passes."""
        agreement = self.difference.agreement
        told = f"{agreement:.4f} of {self.inputs} name the same class"
        if not math.isfinite(self.difference.max):
            return "failed", "an answer is not a finite number"
        if agreement < rule.min_agreement - _ROUNDING:
            return "failed", f"{told}, {rule.min_agreement:.4f} are required"
        if self.accuracy_drop is None:
            return "passed", f"{told}; without labels its accuracy is unknown"
        drop = f"accuracy drops by {self.accuracy_drop:.4f}"
        if self.accuracy_drop > rule.max_accuracy_drop + _ROUNDING:
            return "failed", f"{told}, but {drop}, {rule.max_accuracy_drop:.4f} is allowed"
        return "passed", f"{told}, {drop}"


def judge(
    original: Predict, variant: Predict, real: RealSamples | None, random: Callable[[], Iterable[Array]]
) -> Judged:
    """Compare a variant with its original on real samples, or on random ones where there are none.

    Raises:
        StepError: the models name no classes, so that agreement would say nothing.
    """
    batches = random() if real is None else real_batches(real.inputs)
    classes = 0

    def watched(batch: Array) -> Array:
        nonlocal classes
        answer = original(batch)
        classes = answer.shape[1] if answer.ndim > 1 else 1
        return answer

    difference = compare(watched, variant, batches)
    if classes < 2:
        raise StepError(
            "the model has a single output; the gate of variants compares classes, of which it has none"
        )
    inputs = f"{difference.samples} {'random' if real is None else 'real'} inputs"
    if real is None or real.labels is None:
        return Judged(difference, None, inputs)
    drop = accuracy(original, real.inputs, real.labels) - accuracy(variant, real.inputs, real.labels)
    return Judged(difference, drop, inputs)


def accuracy(predict: Predict, inputs: Array, labels: npt.NDArray[np.int64]) -> float:
    """Share of the labelled samples whose class is predicted.

    Raises:
        StepError: the answers are not one row of numbers a sample.
    """
    right, start = 0, 0
    for batch in real_batches(inputs):
        answers = predict(batch)
        if answers.ndim != 2:
            raise StepError(f"answers of shape {answers.shape} cannot be compared with one label a sample")
        right += int(np.count_nonzero(answers.argmax(1) == labels[start : start + len(batch)]))
        start += len(batch)
    return right / start
