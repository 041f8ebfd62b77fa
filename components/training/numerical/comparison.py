"""Gate 2 as measurement: do two models give the same answers on the same inputs, and which is faster?

A model is a function here, from a batch of inputs to a batch of answers, on the CPU. The inputs are seeded
random ones, and real ones that the training run left.
"""

from __future__ import annotations

import itertools
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import nn

from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

_WARM_UPS, _REPEATS = 3, 15
# A float32 without sign is ordered as its bits are. The 16 highest, exponent and 8 bits of fraction, tell
# numbers apart that differ by 0.4 %.
_BINS, _SHIFT = 1 << 16, 15
Array = npt.NDArray[np.float32]
Predict = Callable[[Array], Array]
_FLOAT32 = "tensor(float)"

# Batches of one and of many, of a round number and of an odd one: a batch size that got fixed in the export,
# anywhere in the graph, shows on the first that is not it.
BATCHES = (1, 2, 7, 32)
# Of one batch: memory grows neither with the number of samples nor with their size. PyTorch is half as fast
# again on batches that leave the processor's caches in peace.
MOST_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Difference:
    """Absolute differences of the answers over all samples; NaN where either side gave something not finite.

    Attributes:
        max: the largest.
        mean: the mean.
        median: the median, to 0.2 %.
        agreement: share of the answers whose largest entry, the predicted class, is the same on both sides.
        samples: how many samples were compared.
    """

    max: float
    mean: float
    median: float
    agreement: float
    samples: int

    def within(self, tolerance: float) -> bool:
        """Whether no answer differs by more than `tolerance`. NaN and infinity never are."""
        return math.isfinite(self.max) and self.max <= tolerance


class _Tally:
    """Statistics of any number of differences in little memory."""

    def __init__(self) -> None:
        self.largest, self.total, self.count = 0.0, 0.0, 0
        self.bins: npt.NDArray[np.int64] = np.zeros(_BINS, np.int64)
        self.agreeing, self.answers, self.samples = 0, 0, 0

    def add(self, left: Array, right: Array) -> None:
        with np.errstate(invalid="ignore"):  # infinity minus infinity is the NaN that we want
            difference = np.abs(left.astype(np.float64) - right.astype(np.float64)).ravel()
        self.largest = float(np.maximum(self.largest, difference.max()))  # unlike max(), it carries NaN on
        self.total += float(difference.sum())
        self.count += difference.size
        with np.errstate(over="ignore"):
            bits = difference.astype(np.float32).view(np.uint32) >> _SHIFT
        self.bins += np.bincount(bits, minlength=_BINS)
        same = _classes(left) == _classes(right)
        self.agreeing += int(np.count_nonzero(same))
        self.answers += same.size
        self.samples += len(left)

    def result(self) -> Difference:
        mean = self.total / self.count
        median = self._median() if math.isfinite(self.largest) else math.nan
        return Difference(self.largest, mean, median, self.agreeing / self.answers, self.samples)

    def _median(self) -> float:
        bin_ = int(np.searchsorted(np.cumsum(self.bins), (self.count + 1) // 2))
        edges = np.array([bin_, bin_ + 1], np.uint32) << _SHIFT
        low, high = edges.view(np.float32)
        return min(float(low + high) / 2, self.largest) if bin_ else 0.0


def compare(one: Predict, other: Predict, batches: Iterable[Array]) -> Difference:
    """How far two predictors are apart over all batches. Memory does not grow with their number.

    Raises:
        StepError: they answer with different shapes, or with none to compare.
    """
    tally = _Tally()
    for batch in batches:
        left, right = one(batch), other(batch)
        if left.shape != right.shape or len(left) != len(batch) or not left.size:
            raise StepError(
                f"to a batch of {len(batch)} one model answers with shape {left.shape}, "
                f"the other with {right.shape}"
            )
        tally.add(left, right)
    return tally.result()


def speedup(baseline: Predict, other: Predict, example: Array) -> float:
    """How many times faster `other` answers one example than `baseline`: the ratio of their median times.

    The two take turns, so that other load on the machine meets both alike; the first few rounds do not count.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(_WARM_UPS + _REPEATS):
        for predict, taken in zip((baseline, other), times, strict=True):
            start = time.perf_counter()
            predict(example)
            if round_ >= _WARM_UPS:
                taken.append(time.perf_counter() - start)
    return statistics.median(times[0]) / statistics.median(times[1])


def check_settings(samples: int, tolerance: float, seed: int = 0) -> None:
    """Refuse settings under which the comparison would say nothing.

    Raises:
        UsageError: no samples, a tolerance that is not a positive number, or a negative seed.
    """
    if not 1 <= samples <= 100_000:
        raise UsageError(f"samples is {samples}; it must be from 1 to 100000")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise UsageError(f"tolerance is {tolerance}; it must be a positive number such as 1e-5")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be 0 or more")


def _classes(answers: Array) -> npt.NDArray[np.int64]:
    """The predicted class of each answer, along the second dimension; NaN counts as the largest."""
    rows = answers.reshape(len(answers), -1) if answers.ndim < 2 else answers
    classes: npt.NDArray[np.int64] = np.argmax(rows, axis=1)
    return classes


def batch_sizes(count: int, sample: tuple[int, ...]) -> Iterator[int]:
    """Sizes of batches that together hold `count` samples: `BATCHES` in turn, within `MOST_BYTES`."""
    fitting = max(1, MOST_BYTES // (4 * math.prod(sample)))
    for size in itertools.cycle(BATCHES):
        if count <= 0:
            return
        taken = min(size, fitting, count)
        yield taken
        count -= taken


def random_batches(count: int, sample: tuple[int, ...], seed: int) -> Iterator[Array]:
    """`count` samples in batches of several sizes, float32, standard normal as prepared inputs are.

    The same seed gives the same samples.
    """
    generator = np.random.default_rng(seed)
    for size in batch_sizes(count, sample):
        yield generator.standard_normal((size, *sample), dtype=np.float32)


def example_of(sample: tuple[int, ...], seed: int) -> Array:
    """Two random samples: of one, tracers and signatures would take the batch for fixed."""
    return np.random.default_rng(seed).standard_normal((2, *sample), dtype=np.float32)


def real_batches(inputs: Array) -> Iterator[Array]:
    """All of `inputs` in batches of several sizes; each is copied into memory when it is asked for."""
    start = 0
    for size in batch_sizes(len(inputs), inputs.shape[1:]):
        yield np.array(inputs[start : start + size])
        start += size


def pytorch_predictor(model: nn.Module) -> Predict:
    """`model` as a function from inputs to answers, without gradients."""

    def predict(batch: Array) -> Array:
        with torch.inference_mode():
            answer: Array = model(torch.from_numpy(batch)).numpy()
        return answer

    return predict


def onnx_predictor(session: ort.InferenceSession) -> Predict:
    """The session as a function from inputs to answers.

    It raises `StepError` where the model fails on a batch, as one does in which a batch size got fixed.
    """
    name = session.get_inputs()[0].name

    def predict(batch: Array) -> Array:
        try:
            answer: Array = session.run(None, {name: batch})[0]
        except Exception as error:  # ONNX Runtime's exception classes have no common base but this
            reason = str(error).strip().splitlines()[0]
            raise StepError(f"ONNX Runtime fails on a batch of {len(batch)}: {reason}") from error
        return answer

    return predict


def open_session(model: str | bytes, threads: int) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU with that many threads, from a file's path or its bytes.

    Its threads sleep between two calls: spinning, they would slow down what runs in turn with it.

    Raises:
        StepError: ONNX Runtime does not accept the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; its warnings concern graph details that nobody here can change
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes have no common base but this
        raise StepError(f"ONNX Runtime does not load the model: {str(error).splitlines()[0]}") from error


def sample_shape(session: ort.InferenceSession) -> tuple[int, ...]:
    """The shape of one sample, without the batch.

    Raises:
        StepError: the model has not exactly one float32 input with a free batch and nothing else free, or not
            exactly one output.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    batched = len(inputs) == 1 and len(inputs[0].shape) > 1 and not isinstance(inputs[0].shape[0], int)
    if not (batched and all(isinstance(side, int) for side in inputs[0].shape[1:])):
        raise StepError(f"the model should have one input with a free batch only; it has {_describe(inputs)}")
    if inputs[0].type != _FLOAT32 or len(outputs) != 1:
        raise StepError(
            "the model should turn one float32 tensor into one; "
            f"it turns {_describe(inputs)} into {_describe(outputs)}"
        )
    return tuple(inputs[0].shape[1:])


def _describe(tensors: list[ort.NodeArg]) -> str:
    return ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in tensors) or "none"
