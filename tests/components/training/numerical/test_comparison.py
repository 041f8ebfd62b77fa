"""Gate 2's measurements."""

import math
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from argosy.components.training.validation import (
    Array,
    Difference,
    check_settings,
    compare,
    random_batches,
    speedup,
)
from argosy.errors import StepError, UsageError


def test_largest_mean_and_median_difference_over_all_batches() -> None:
    steps = iter([0.0, 0.5, 0.25])
    batches = iter([np.zeros((2, 3), np.float32)] * 3)
    difference = compare(lambda x: x, lambda x: x + np.float32(next(steps)), batches)
    assert (difference.max, difference.mean, difference.samples) == (0.5, 0.25, 6)
    assert difference.median == pytest.approx(0.25, rel=0.003)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1e-3, 1e4])
def test_the_median_is_near_the_exact_one(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    noise = [generator.lognormal(size=(7, 4)) * scale for _ in range(9)]
    steps = iter(noise)

    def other(batch: Array) -> Array:
        return batch + next(steps)  # float64 keeps what float32 would round away

    difference = compare(lambda x: x, other, iter([np.zeros((7, 4), np.float32)] * 9))
    exact = np.median(np.concatenate(noise))
    assert difference.median == pytest.approx(exact, rel=0.02)
    assert difference.mean == pytest.approx(np.mean(np.concatenate(noise)))


def test_equal_answers_have_no_difference() -> None:
    assert compare(lambda x: x, lambda x: x, random_batches(50, (4,), 0)) == Difference(0, 0, 0, 1, 50)


def test_agreement_is_the_share_of_equal_classes() -> None:
    left = np.eye(4, dtype=np.float32)
    right = left[[0, 1, 2, 0]]
    assert compare(lambda x: left, lambda x: right, [np.zeros((4, 1))]).agreement == 0.75


def test_agreement_of_pictures_is_counted_by_place() -> None:
    left = np.zeros((1, 2, 2, 2), np.float32)
    left[:, 1] = 1
    right = left.copy()
    right[0, :, 0, 0] = [1, 0]
    assert compare(lambda x: left, lambda x: right, [np.zeros((1, 1))]).agreement == 0.75


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_what_is_not_finite_never_passes(bad: float, batch: int, side: str) -> None:
    def broken(x: Array) -> Array:
        return np.where((np.arange(x.size).reshape(x.shape) == 1) & (x[0, 0] == batch), np.float32(bad), x)

    batches = iter([np.full((2, 3), n, np.float32) for n in range(3)])
    left = broken if side != "right" else lambda x: x
    right = broken if side != "left" else lambda x: x
    difference = compare(left, right, batches)
    assert not math.isfinite(difference.max)
    assert math.isnan(difference.median)
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
    assert Difference(largest, 0.0, 0.0, 1.0, 1).within(tolerance) is passes


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((2, 3), (2, 2), r"shape \(2, 3\), the other with \(2, 2\)"),
        ((1, 3), (1, 3), r"to a batch of 2"),
        ((2, 0), (2, 0), r"shape \(2, 0\)"),
    ],
)
def test_answers_of_other_shapes_are_an_error(
    left: tuple[int, ...], right: tuple[int, ...], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        compare(lambda x: np.zeros(left), lambda x: np.zeros(right), [np.zeros((2, 3), np.float32)])


def _peak(samples: int) -> int:
    """Bytes that a comparison of so many samples holds at most, beside the models'."""
    tracemalloc.start()
    compare(lambda x: x[:, :5], lambda x: x[:, :5] + 1, random_batches(samples, (2000,), 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    _peak(50)
    assert _peak(6000) < 1.2 * _peak(100)


def test_nothing_is_drawn_before_it_is_compared() -> None:
    drawn = []

    def batches() -> Iterator[Array]:
        for n in range(3):
            drawn.append(n)
            yield np.zeros((1, 1), np.float32)

    seen = []
    compare(lambda x: seen.append(len(drawn)) or x, lambda x: x, batches())  # type: ignore[func-returns-value]
    assert seen == [1, 2, 3]


def test_the_speedup_is_the_ratio_of_times() -> None:
    def slow(x: Array) -> Array:
        time.sleep(0.02)
        return x

    ratio = speedup(slow, lambda x: x, np.zeros(1, np.float32))
    assert ratio > 1
    assert speedup(lambda x: x, slow, np.zeros(1, np.float32)) < 1


@pytest.mark.parametrize(
    ("samples", "tolerance", "seed", "message"),
    [
        (0, 1e-5, 0, "samples is 0"),
        (-1, 1e-5, 0, "samples is -1"),
        (10**6, 1e-5, 0, "samples is 1000000"),
        (100, 0.0, 0, "tolerance is 0.0"),
        (100, -1e-5, 0, "tolerance is -1e-05"),
        (100, math.nan, 0, "tolerance is nan"),
        (100, math.inf, 0, "tolerance is inf"),
        (100, 1e-5, -1, "seed is -1"),
    ],
)
def test_settings_that_say_nothing_are_refused(
    samples: int, tolerance: float, seed: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_settings(samples, tolerance, seed)
