"""Gate 2's measurements."""

import itertools
import math
import time

import numpy as np
import pytest

from argosy.components.training.comparison import (
    Array,
    Difference,
    check_settings,
    compare,
    open_session,
    random_inputs,
    speedup,
)
from argosy.errors import StepError, UsageError


def test_the_inputs_are_many_seeded_and_never_all_in_memory() -> None:
    def batches(seed: int) -> list[Array]:
        return list(random_inputs(25, (3, 4, 4), seed))

    assert [batch.shape for batch in batches(0)] == [(10, 3, 4, 4), (10, 3, 4, 4), (5, 3, 4, 4)]
    assert all(np.array_equal(a, b) for a, b in zip(batches(1), batches(1), strict=True))
    assert not np.array_equal(batches(1)[0], batches(2)[0])
    assert not np.array_equal(batches(1)[0], batches(1)[1])
    assert len(list(itertools.islice(random_inputs(10**9, (2,), 0), 3))) == 3


def test_largest_and_mean_difference_over_all_batches() -> None:
    steps = iter([0.0, 0.5, 0.25])
    inputs = iter([np.zeros((2, 3), np.float32)] * 3)
    difference = compare(lambda x: x, lambda x: x + np.float32(next(steps)), inputs)
    assert difference == Difference(max=0.5, mean=0.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_what_is_not_finite_never_passes(bad: float, batch: int, side: str) -> None:
    def broken(x: Array) -> Array:
        return np.where((np.arange(x.size).reshape(x.shape) == 1) & (x[0, 0] == batch), np.float32(bad), x)

    inputs = iter([np.full((2, 3), n, np.float32) for n in range(3)])
    left = broken if side != "right" else lambda x: x
    right = broken if side != "left" else lambda x: x
    difference = compare(left, right, inputs)
    assert not math.isfinite(difference.max)
    assert not difference.within(1e300)


@pytest.mark.parametrize(
    ("largest", "tolerance", "passes"),
    [
        (0.0, 1e-5, True),
        (1e-5, 1e-5, True),
        (1.0001e-5, 1e-5, False),
        (math.nan, 1e-5, False),
        (math.inf, 1e-5, False),
    ],
)
def test_the_tolerance_itself_is_allowed(largest: float, tolerance: float, passes: bool) -> None:
    assert Difference(largest, 0.0).within(tolerance) is passes


def test_answers_of_different_shape_are_an_error() -> None:
    with pytest.raises(StepError, match=r"shape \(2, 3\), ONNX Runtime with \(2, 2\)"):
        compare(lambda x: x, lambda x: x[:, :2], iter([np.zeros((2, 3), np.float32)]))


def test_the_speedup_is_the_ratio_of_times() -> None:
    def slow(x: Array) -> Array:
        time.sleep(0.02)
        return x

    ratio = speedup(slow, lambda x: x, np.zeros(1, np.float32))
    assert ratio > 1
    assert speedup(lambda x: x, slow, np.zeros(1, np.float32)) < 1


def test_garbage_is_no_model() -> None:
    with pytest.raises(StepError, match="ONNX Runtime does not load the model"):
        open_session(b"garbage", threads=1)


@pytest.mark.parametrize(
    ("samples", "tolerance", "message"),
    [
        (0, 1e-5, "samples is 0"),
        (-1, 1e-5, "samples is -1"),
        (10**6, 1e-5, "samples is 1000000"),
        (100, 0.0, "tolerance is 0.0"),
        (100, -1e-5, "tolerance is -1e-05"),
        (100, math.nan, "tolerance is nan"),
        (100, math.inf, "tolerance is inf"),
    ],
)
def test_settings_that_say_nothing_are_refused(samples: int, tolerance: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_settings(samples, tolerance)
