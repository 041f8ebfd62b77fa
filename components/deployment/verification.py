"""The functional test of a served version: synthetic input in, the expected output out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from argosy.components.shared.triton import Tensor, Triton
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

WARM_UP, REPEATS = 2, 20
# 256 MiB of float32: more than any request that a server should take.
MAX_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class Latency:
    """Wall time of one request as the client sees it, in milliseconds: median and 99th percentile."""

    p50: float
    p99: float


def check_shape(what: str, shape: Sequence[int]) -> tuple[int, ...]:
    """`shape`, when a tensor can have it.

    Raises:
        UsageError: it is empty, has a size below 1, or more than 2**26 elements in all.
    """
    if not shape or min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise UsageError(
            f"{what} {list(shape)} is not a shape: sizes of 1 and more, at most {MAX_ELEMENTS} elements, "
            "as [1, 3, 224, 224]"
        )
    return tuple(shape)


def verify(
    triton: Triton, model: str, version: int, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> Latency:
    """Send seeded random input of `input_shape` to exactly this version, several times; check each answer.

    Raises:
        StepError: the version is not served, takes another shape, fails, or answers with another shape or
            type or with numbers that are not finite.
    """
    served = triton.describe(model, version)
    if str(version) not in served.versions:
        raise StepError(
            f"version {version} of {model!r} is not served; served are {', '.join(served.versions)}"
        )
    source, target = _only_input(model, served.inputs), served.outputs[0]
    _check_accepted(model, source, input_shape)
    request = {source.name: synthetic(source, input_shape)}
    seconds = []
    for turn in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        answer = triton.infer(model, version, request)
        if turn >= WARM_UP:
            seconds.append(time.perf_counter() - start)
        check_output(target, answer.get(target.name), output_shape)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    log.info("version %d of %s: %d requests, p50 %.2f ms, p99 %.2f ms", version, model, REPEATS, p50, p99)
    return Latency(round(float(p50), 3), round(float(p99), 3))


def synthetic(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """The same random input each time: normal numbers where the model takes real ones, else zeros and ones.

    Raises:
        StepError: the model takes text.
    """
    dtype = triton_to_np_dtype(tensor.datatype)
    if dtype is None or dtype is np.object_:
        raise StepError(f"input {tensor.name!r} is {tensor.datatype}: synthetic input can only be numbers")
    random = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0, 2, shape).astype(dtype)


def check_output(tensor: Tensor, answer: np.ndarray | None, shape: tuple[int, ...]) -> None:
    """Raises StepError unless an answer is there, has that shape and the declared type, and is finite."""
    if answer is None:
        raise StepError(f"the answer has no output {tensor.name!r}")
    if answer.shape != shape:
        raise StepError(
            f"output {tensor.name!r} has shape {list(answer.shape)}, expected_output_shape is {list(shape)}"
        )
    if answer.dtype != triton_to_np_dtype(tensor.datatype):
        raise StepError(f"output {tensor.name!r} is {answer.dtype}, the model declares {tensor.datatype}")
    if not np.isfinite(answer).all():
        bad = int(answer.size - np.isfinite(answer).sum())
        raise StepError(f"output {tensor.name!r} has {bad} of {answer.size} numbers that are not finite")


def _only_input(model: str, inputs: tuple[Tensor, ...]) -> Tensor:
    if len(inputs) != 1:
        names = ", ".join(tensor.name for tensor in inputs)
        raise StepError(
            f"{model!r} has {len(inputs)} inputs ({names}); one expected_input_shape verifies one input"
        )
    return inputs[0]


def _check_accepted(model: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    fits = len(tensor.shape) == len(shape) and all(
        size in (-1, wanted) for size, wanted in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise StepError(
            f"input {tensor.name!r} of {model!r} has shape {list(tensor.shape)}, "
            f"expected_input_shape is {list(shape)}"
        )
