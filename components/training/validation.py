"""Gate 2: an ONNX model is measured against its PyTorch model, and registered and proven whole if it passed.

Do two models give the same answers on the same inputs, and which is faster? A model is a function here, from
a batch of inputs to a batch of answers, on the CPU. The inputs are seeded random ones, and real ones that the
training run left.
The export run keeps the record of what is measured.
"""

from __future__ import annotations

import itertools
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Literal, NamedTuple

import mlflow
import mlflow.onnx
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from mlflow.entities import Metric, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from torch import nn

from argosy.components.shared import registry
from argosy.components.shared.files import sha256_of
from argosy.components.shared.registry import get_run
from argosy.components.shared.run_files import download, read_real_samples
from argosy.components.training.champion import all_versions, logged_model, register_model_of_run
from argosy.components.training.export import (
    FILE_SHA256,
    MODEL_FILE,
    Parent,
    check_onnx,
    load_pytorch,
)
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

_DEPLOY = "deploy"
_RESULT, _REAL_INPUTS = "gate2.result", "gate2.real_inputs"
PASSED = {_RESULT: "passed"}  # the tag of a version that came to the end of its gate

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


class Verdict(NamedTuple):
    """The step's result, field by field; a difference that is not finite is None."""

    result: Literal["passed", "failed"]
    onnx_model_version: str
    max_diff: float | None
    mean_diff: float | None
    onnx_speedup: float
    median_diff: float | None
    argmax_agreement: float
    real_inputs: int


@dataclass(frozen=True)
class Measured:
    """The numbers of one file.

    Attributes:
        example: two samples, for the signature of what is registered.
    """

    difference: Difference
    speedup: float
    real_inputs: int
    example: Array

    def __str__(self) -> str:
        return (
            f"largest difference {self.difference.max:.3g} over {self.difference.samples} inputs "
            f"({self.real_inputs} real), ONNX Runtime {self.speedup:.2f} times faster"
        )

    def metrics(self) -> dict[str, float]:
        """The measurements under the names that deployments read."""
        return {
            "validation_max_diff": self.difference.max,
            "validation_mean_diff": self.difference.mean,
            "validation_median_diff": self.difference.median,
            "validation_argmax_agreement": self.difference.agreement,
            "validation_onnx_speedup": self.speedup,
        }

    def verdict(self, version: str) -> Verdict:
        """The step's result; no version means that the gate failed."""
        largest, mean, median = (
            value if math.isfinite(value) else None
            for value in (self.difference.max, self.difference.mean, self.difference.median)
        )
        return Verdict(
            "passed" if version else "failed",
            version,
            largest,
            mean,
            self.speedup,
            median,
            self.difference.agreement,
            self.real_inputs,
        )


def validate(
    client: MlflowClient, export_run_id: str, model_name: str, samples: int, tolerance: float, seed: int
) -> Verdict:
    """Run Gate 2 on the ONNX file of an export run; register the file if it passes.

    Raises:
        StepError: the run is no export of `model_name`, its file is damaged or no valid ONNX, a model
            cannot be loaded, or MLflow failed.
    """
    run = get_run(client, export_run_id)
    parent = Parent.of_export(run)
    if parent.model_name != model_name:
        raise StepError(f"run {export_run_id} exports {parent.model_name!r}, not {model_name!r}")
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch:
        folder = Path(scratch)
        path = download(export_run_id, MODEL_FILE, folder)
        digest = _checked(path, run)
        measured = _measure(client, path, parent, samples, seed, folder)
        passed = measured.difference.within(tolerance)
        record_metrics(client, export_run_id, measured.metrics(), passed, measured.real_inputs)
        log.info("Gate 2 %s: %s, tolerance %.3g", "passed" if passed else "failed", measured, tolerance)
        if not passed:
            return measured.verdict("")
        tags = {**parent.tags(), "export.run_id": export_run_id, FILE_SHA256: digest, **measured.metrics()}
        version = register_onnx(client, f"{model_name}-onnx", export_run_id, path, measured.example, tags)
    return measured.verdict(str(version.version))


def _checked(path: Path, run: Run) -> str:
    """The file's checksum, once it is the one that was exported, and valid ONNX."""
    digest = sha256_of(path)
    expected = run.data.tags.get(FILE_SHA256, digest)
    if digest != expected:
        raise StepError(
            f"{MODEL_FILE} of run {run.info.run_id} has sha256 {digest}, and {expected} was exported"
        )
    check_onnx(path)
    return digest


def _measure(
    client: MlflowClient, path: Path, parent: Parent, samples: int, seed: int, folder: Path
) -> Measured:
    """Difference and speedup of file and parent, on the CPU with equal threads."""
    session = open_session(str(path), threads=torch.get_num_threads())
    sample = sample_shape(session)
    real = read_real_samples(client, parent.run_id, sample, folder)
    baseline = pytorch_predictor(load_pytorch(parent.model_name, parent.version).module)
    candidate = onnx_predictor(session)
    batches = itertools.chain(
        random_batches(samples, sample, seed), real_batches(real.inputs) if real else ()
    )
    difference = compare(baseline, candidate, batches)
    example = example_of(sample, seed)
    gain = speedup(baseline, candidate, example[:1])
    return Measured(difference, gain, len(real) if real else 0, example)


def register_onnx(
    client: MlflowClient, name: str, run_id: str, path: Path, example: Array, tags: Mapping[str, object]
) -> ModelVersion:
    """The version of `name` that holds the ONNX file of run `run_id`: proven whole, with the alias `deploy`.

    A version that already went through here keeps its tags and is not given the alias again: another version
    may hold it by now. So does a version of the same bytes that came from another run.

    Args:
        client: from `registry.connect`.
        name: the registered ONNX model.
        run_id: the export run; the model is logged into it.
        path: the validated file.
        example: one input batch, for the signature and the proof.
        tags: written on the version; the file's checksum is among them.

    Raises:
        StepError: what MLflow gives back is not what was validated, or MLflow failed.
    """
    passed = _passed_before(client, name, str(tags[FILE_SHA256]))
    if passed is not None:
        log.info("version %s of %s holds this file already", passed.version, name)
        return passed
    expected = onnx_predictor(open_session(str(path), threads=1))(example)
    if logged_model(client, run_id) is None:
        _log_model(client, run_id, path, example, expected)
    version = register_model_of_run(client, name, run_id, tags)
    _prove(version, example, expected)
    registry.set_version_tags(client, name, version.version, tags)
    registry.set_alias(client, name, _DEPLOY, version.version)
    registry.set_version_tags(client, name, version.version, PASSED)
    return version


def record_metrics(
    client: MlflowClient, run_id: str, metrics: Mapping[str, float], passed: bool, real_inputs: int
) -> None:
    """Write what a gate measured, and its answer, into the run in one request.

    Raises:
        StepError: MLflow failed.
    """
    now = int(time.time() * 1000)
    entries = [Metric(name, value, now, 0) for name, value in metrics.items()]
    result = {_RESULT: "passed" if passed else "failed", _REAL_INPUTS: str(real_inputs)}
    with registry.mlflow_errors(f"record the validation in run {run_id}"):
        client.log_batch(run_id, entries, tags=[RunTag(key, value) for key, value in result.items()])


def _passed_before(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The oldest version that holds the same bytes and came to the end of the gate."""
    same = {FILE_SHA256: digest, **PASSED}.items()
    found = [version for version in all_versions(client, name) if same <= version.tags.items()]
    return min(found, key=lambda version: int(version.version), default=None)


def _log_model(client: MlflowClient, run_id: str, path: Path, example: Array, expected: Array) -> None:
    requirements = [f"{package}=={installed(package)}" for package in ("onnx", "onnxruntime", "numpy")]
    experiment_id = registry.get_run(client, run_id).info.experiment_id
    with registry.mlflow_errors(f"store the ONNX model of run {run_id}"):
        mlflow.set_experiment(
            experiment_id=experiment_id
        )  # MLflow reopens runs of its current experiment only
        run = mlflow.start_run(run_id=run_id)
    with registry.mlflow_errors(f"store the ONNX model of run {run_id}"), run:
        mlflow.onnx.log_model(
            # Logging changes the object that it is given, so it gets one of its own. Its default moves the
            # weights to a second file, and a server that reads model.onnx alone would find none.
            onnx.load(path),
            name="model",
            save_as_external_data=False,
            signature=infer_signature(example, expected),
            pip_requirements=requirements,
        )


def _prove(version: ModelVersion, example: Array, expected: Array) -> None:
    """Download the registered file and compare its answer with that of the validated one.

    Raises:
        StepError: the file is missing, incomplete, or answers differently.
    """
    uri = f"models:/{version.name}/{version.version}/{MODEL_FILE}"
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        with registry.mlflow_errors(f"download {uri}"):
            path = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
        answer = onnx_predictor(open_session(Path(path).read_bytes(), threads=1))(example)
    if not np.array_equal(answer, expected):
        raise StepError(f"{uri} answers differently from the file that was validated; alias not set")


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
