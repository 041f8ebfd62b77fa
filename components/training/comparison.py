"""Gate 2 as measurement: do PyTorch and ONNX Runtime give the same answers, and which is faster?"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import nn

from argosy.errors import StepError, UsageError

Array = npt.NDArray[np.float32]
Predict = Callable[[Array], Array]

BATCH = 10  # inputs compared at a time, so that memory does not grow with their number
_WARM_UPS, _REPEATS = 3, 15


@dataclass(frozen=True)
class Difference:
    """Absolute differences of the logits over all inputs; NaN where either side gave something not finite."""

    max: float
    mean: float

    def within(self, tolerance: float) -> bool:
        """Whether no logit differs by more than `tolerance`. NaN and infinity never are."""
        return math.isfinite(self.max) and self.max <= tolerance


def random_inputs(count: int, shape: tuple[int, ...], seed: int) -> Iterator[Array]:
    """`count` inputs in batches of at most `BATCH`, float32, standard normal as prepared images are.

    The same seed gives the same inputs.
    """
    generator = np.random.default_rng(seed)
    for start in range(0, count, BATCH):
        yield generator.standard_normal((min(BATCH, count - start), *shape), dtype=np.float32)


def compare(one: Predict, other: Predict, inputs: Iterator[Array]) -> Difference:
    """The largest and the mean absolute difference of two predictors over all inputs and logits.

    Raises:
        StepError: they answer with different shapes.
    """
    largest, total, count = 0.0, 0.0, 0
    for batch in inputs:
        left, right = one(batch), other(batch)
        if left.shape != right.shape:
            raise StepError(f"PyTorch answers with shape {left.shape}, ONNX Runtime with {right.shape}")
        with np.errstate(invalid="ignore"):  # infinity minus infinity is the NaN that we want
            difference = np.abs(left.astype(np.float64) - right.astype(np.float64))
        largest = float(np.maximum(largest, difference.max()))  # unlike max(), it carries NaN on
        total += float(difference.sum())
        count += difference.size
    return Difference(largest, total / count)


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


def pytorch_predictor(model: nn.Module) -> Predict:
    """`model` as a function from inputs to logits, on the CPU, without gradients."""

    def predict(batch: Array) -> Array:
        with torch.inference_mode():
            answer: Array = model(torch.from_numpy(batch)).numpy()
        return answer

    return predict


def onnx_predictor(session: ort.InferenceSession) -> Predict:
    """The session as a function from inputs to logits."""
    name = session.get_inputs()[0].name

    def predict(batch: Array) -> Array:
        answer: Array = session.run(None, {name: batch})[0]
        return answer

    return predict


def open_session(model: str | bytes, threads: int) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU with that many threads, from a file's path or its bytes.

    Raises:
        StepError: ONNX Runtime does not accept the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings concern graph details that nobody here can change
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes have no common base but this
        raise StepError(f"ONNX Runtime does not load the model: {str(error).splitlines()[0]}") from error


def input_shape(session: ort.InferenceSession) -> tuple[int, ...]:
    """The shape of one input, without the batch.

    Raises:
        StepError: the model has not exactly one input, or more than its batch is free.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1 or not all(isinstance(side, int) for side in inputs[0].shape[1:]):
        raise StepError(f"the model should have one input with a free batch only; it has {_describe(inputs)}")
    return tuple(inputs[0].shape[1:])


def check_settings(samples: int, tolerance: float) -> None:
    """Refuse settings under which the comparison would say nothing.

    Raises:
        UsageError: no samples, or a tolerance that is not a positive number.
    """
    if not 1 <= samples <= 100_000:
        raise UsageError(f"samples is {samples}; it must be from 1 to 100000")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise UsageError(f"tolerance is {tolerance}; it must be a positive number such as 1e-5")


def _describe(inputs: list[ort.NodeArg]) -> str:
    return ", ".join(f"{entry.name} {entry.shape}" for entry in inputs) or "none"
