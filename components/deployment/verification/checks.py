"""The functional test of a served version: synthetic input in, the expected output out.

The expected output is what ONNX Runtime answers on the published file in this process, to the given
tolerance, besides its shape, type and finiteness.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tritonclient.utils import triton_to_np_dtype

from argosy.components.shared.triton import ServedModel, Tensor, Triton
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

# Different inputs that are compared with the reference; requests that are timed, and for how long at most.
_SAMPLES, _WARM_UP, _REPEATS, _FEWEST, _SECONDS = 4, 2, 50, 10, 5.0
# 256 MiB of float32: more than any request that a server should take.
_MAX_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class Expectation:
    """The inputs that a version has to take, and the outputs that it has to give.

    Attributes:
        input_shape: of the synthetic input, batch first.
        output_shape: of the first output.
        tolerance: the largest absolute difference from ONNX Runtime's answer.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    tolerance: float

    def __post_init__(self) -> None:
        _check_shape("expected_input_shape", self.input_shape)
        _check_shape("expected_output_shape", self.output_shape)
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise UsageError(f"tolerance {self.tolerance} is not a finite number of 0 or more, as 1e-4")


@dataclass(frozen=True)
class Report:
    """The numbers of a verified version.

    Attributes:
        max_diff: the largest absolute difference from ONNX Runtime's answers.
        p50_ms, p90_ms, p99_ms: percentiles of a request's wall time as the client sees it, in milliseconds.
        requests: how many were timed.
    """

    max_diff: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    requests: int


@dataclass(frozen=True)
class Subject:
    """One version on a server."""

    triton: Triton
    model: str
    version: int


def _check_shape(what: str, shape: Sequence[int]) -> None:
    """Raises UsageError for a shape that is empty, has a size below 1, or more than 2**26 elements in all."""
    if not shape or min(shape) < 1 or math.prod(shape) > _MAX_ELEMENTS:
        raise UsageError(
            f"{what} {list(shape)} is not a shape: sizes of 1 and more, at most {_MAX_ELEMENTS} elements, "
            "as [1, 3, 224, 224]"
        )


def verify(subject: Subject, expected: Expectation, reference: Reference) -> Report:
    """Send seeded random input to exactly this version, several times; check each answer.

    Raises:
        StepError: the version is not served, takes another shape, fails, answers with another shape or type,
            with numbers that are not finite, or with others than ONNX Runtime.
    """
    served = subject.triton.describe(subject.model, subject.version)
    _check_served(subject, served, expected.input_shape)
    (source,) = served.inputs
    samples = [{source.name: synthetic(source, expected.input_shape, seed)} for seed in range(_SAMPLES)]
    answers = [reference.answer(sample) for sample in samples]
    _check_shape_of(served.outputs[0], answers[0], expected.output_shape)
    times: list[float] = []
    max_diff, turn, until = 0.0, 0, time.monotonic() + _SECONDS
    while turn < _WARM_UP + _FEWEST or (turn < _WARM_UP + _REPEATS and time.monotonic() < until):
        start = time.perf_counter()
        answer = subject.triton.infer(subject.model, subject.version, samples[turn % _SAMPLES])
        seconds = time.perf_counter() - start
        if turn >= _WARM_UP:
            times.append(seconds)
        _check_shape_of(served.outputs[0], answer, expected.output_shape)
        for output in served.outputs:
            wanted = answers[turn % _SAMPLES].get(output.name)
            max_diff = max(max_diff, compare(output, answer.get(output.name), wanted, expected.tolerance))
        turn += 1
    return _report(subject, max_diff, times)


def synthetic(tensor: Tensor, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """The same random input each time: normal numbers where the model takes real ones, else zeros and ones.

    Raises:
        StepError: the model takes text.
    """
    dtype = triton_to_np_dtype(tensor.datatype)
    if dtype is None or dtype is np.object_:
        raise StepError(f"input {tensor.name!r} is {tensor.datatype}: synthetic input can only be numbers")
    random = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.floating):
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0, 2, shape).astype(dtype)


def _check_shape_of(tensor: Tensor, answer: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    """Raises StepError where the output is there and has another shape than the expected one."""
    found = answer.get(tensor.name)
    if found is not None and found.shape != shape and not (found.ndim == 0 and shape == (1,)):
        raise StepError(
            f"output {tensor.name!r} has shape {list(found.shape)}, expected_output_shape is {list(shape)}"
        )


def compare(tensor: Tensor, answer: np.ndarray | None, wanted: np.ndarray | None, tolerance: float) -> float:
    """The largest absolute difference between a served output and ONNX Runtime's.

    Raises:
        StepError: it is missing, has another type than declared, is not finite, or differs in shape or by
            more than `tolerance`.
    """
    if answer is None or wanted is None:
        whose = "the answer" if answer is None else "the published file"
        raise StepError(f"{whose} has no output {tensor.name!r}")
    if answer.dtype != triton_to_np_dtype(tensor.datatype):
        raise StepError(f"output {tensor.name!r} is {answer.dtype}, the model declares {tensor.datatype}")
    if not np.isfinite(answer).all():
        bad = int(answer.size - np.isfinite(answer).sum())
        raise StepError(f"output {tensor.name!r} has {bad} of {answer.size} numbers that are not finite")
    if wanted.dtype != answer.dtype or wanted.size != answer.size:
        raise StepError(
            f"output {tensor.name!r} is {answer.dtype} {list(answer.shape)}, "
            f"ONNX Runtime answers {wanted.dtype} {list(wanted.shape)} on the published file"
        )
    if not answer.size:
        return 0.0
    difference = float(
        np.abs(answer.astype(np.float64) - wanted.reshape(answer.shape).astype(np.float64)).max()
    )
    if not difference <= tolerance:  # NaN is no agreement either
        raise StepError(
            f"output {tensor.name!r} differs by {difference:.3g} from what ONNX Runtime answers on the "
            f"published file; tolerance is {tolerance:g}: Triton serves another file, or computes otherwise"
        )
    return difference


def _report(subject: Subject, max_diff: float, times: list[float]) -> Report:
    p50, p90, p99 = (round(float(p), 3) for p in np.percentile(times, [50, 90, 99]) * 1000)
    log.info(
        "version %d of %s: %d requests, p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, largest difference %.3g",
        *(subject.version, subject.model, len(times), p50, p90, p99, max_diff),
    )
    return Report(max_diff, p50, p90, p99, len(times))


def _check_served(subject: Subject, served: ServedModel, shape: tuple[int, ...]) -> None:
    """Raises StepError unless the version is served, and takes one input of that shape."""
    model, version = subject.model, str(subject.version)
    if version not in served.versions:
        raise StepError(f"version {version} of {model!r} is not served: {', '.join(served.versions)} are")
    if len(served.inputs) != 1:
        names = ", ".join(tensor.name for tensor in served.inputs)
        raise StepError(
            f"{model!r} has {len(served.inputs)} inputs ({names}); one expected_input_shape verifies one"
        )
    (tensor,) = served.inputs
    fits = len(tensor.shape) == len(shape) and all(
        size in (-1, wanted) for size, wanted in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise StepError(
            f"input {tensor.name!r} of {model!r} has shape {list(tensor.shape)}, "
            f"expected_input_shape is {list(shape)}"
        )


class Reference:
    """A model file in ONNX Runtime, with one thread.

    Raises:
        StepError: ONNX Runtime does not open it.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors share no base class but Exception
            raise StepError(f"ONNX Runtime does not open {path.name}: {_first_line(error)}") from error
        self._ranks = {tensor.name: len(tensor.shape) for tensor in self._session.get_inputs()}
        self.outputs = [tensor.name for tensor in self._session.get_outputs()]

    def answer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for these inputs, by name.

        Raises:
            StepError: the inputs have other names than the model's, or ONNX Runtime fails on them.
        """
        if set(inputs) != set(self._ranks):
            raise StepError(
                f"the served model takes {', '.join(inputs)}, the published file {', '.join(self._ranks)}: "
                "config.pbtxt does not fit the file"
            )
        fed = {name: _of_rank(array, self._ranks[name]) for name, array in inputs.items()}
        try:
            answers: Sequence[np.ndarray] = self._session.run(self.outputs, fed)
        except Exception as error:
            raise StepError(f"ONNX Runtime fails on the synthetic input: {_first_line(error)}") from error
        return dict(zip(self.outputs, answers, strict=True))


def _of_rank(array: np.ndarray, rank: int) -> np.ndarray:
    """The array without the dimension of 1 that Triton gives to a scalar."""
    return array.reshape(array.shape[:rank]) if array.ndim == rank + 1 and array.shape[-1] == 1 else array


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
