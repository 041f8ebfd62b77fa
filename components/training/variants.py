"""Smaller variants of a validated ONNX model, from the registry to the registry, and the gate of their own.

A variant computes in 8-bit integers or 16-bit floats; its inputs and outputs stay float32. The gate asks
whether it names the same classes, and is about as often right.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import mlflow
import numpy as np
import numpy.typing as npt
import onnx
import torch
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from argosy.components.shared import registry
from argosy.components.shared.files import sha256_of
from argosy.components.shared.run_files import INPUTS_FILE, RealSamples, download, read_real_samples
from argosy.components.training.export import (
    FILE_SHA256,
    MODEL_FILE,
    Parent,
    check_onnx,
    complete_run,
)
from argosy.components.training.validation import (
    PASSED,
    Array,
    Difference,
    Predict,
    compare,
    example_of,
    onnx_predictor,
    open_session,
    random_batches,
    real_batches,
    record_metrics,
    register_onnx,
    sample_shape,
    speedup,
)
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

_ANSWER, _STEP = "variant.answer", "quantize-onnx"
_SOURCE_NAME, _SOURCE_VERSION = "onnx.model_name", "onnx.version"
_ORIGIN = frozenset({_SOURCE_NAME, _SOURCE_VERSION, FILE_SHA256})
Variant = Literal["int8", "fp16"]
_ROUNDING = 1e-9  # far below one sample


@dataclass(frozen=True)
class Outcome:
    """The step's result, field by field; kept in the variant's run as it is returned."""

    result: Literal["passed", "failed"]
    onnx_model_version: str
    argmax_agreement: float
    accuracy_drop: float | None
    onnx_speedup: float
    size_ratio: float
    real_inputs: int
    reason: str


def make_variant(client: MlflowClient, model_name: str, version: str, rule: VariantRule) -> Outcome:
    """Make, judge and, if it passes, register a variant of `<model_name>-onnx` version `version`.

    The same version under the same rule gets the recorded answer.

    Raises:
        StepError: the version did not pass Gate 2, cannot be made smaller, or MLflow failed.
    """
    source = registry.get_version(client, f"{model_name}-onnx", version)
    if PASSED.items() - source.tags.items():
        raise StepError(f"version {version} of {source.name!r} did not pass Gate 2, so nothing is made of it")
    parent = Parent.of_tags(source.tags, f"version {version} of {source.name}")
    experiment = registry.get_run(client, source.run_id or "").info.experiment_id
    tags = {
        "step": _STEP,
        "variant.rule": rule.text(),
        _SOURCE_NAME: source.name,
        _SOURCE_VERSION: str(source.version),
        **parent.tags(),
    }
    run = complete_run(client, experiment, tags)
    if run is not None and _ANSWER in run.data.tags:
        log.info("run %s holds the answer already", run.info.run_id)
        return Outcome(**json.loads(run.data.tags[_ANSWER]))
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch:
        work = _Work(client, source, parent, rule, Path(scratch))
        return work.finish(run or work.make(experiment, tags))


@dataclass(frozen=True)
class _Work:
    """One variant in the making, in a folder of its own."""

    client: MlflowClient
    source: ModelVersion
    parent: Parent
    rule: VariantRule
    folder: Path

    def make(self, experiment: str, tags: dict[str, str]) -> Run:
        """The variant's file, in a new run that has come to its end."""
        target = self.folder / MODEL_FILE
        original = self._original()
        metadata = {"variant": self.rule.variant, "variant_of": f"{self.source.name} {self.source.version}"}
        if self.rule.variant == "fp16":
            _convert_fp16(original, target, metadata)
        else:
            calibration = self._real(original, calibration=True)
            if calibration is None:
                raise StepError(
                    f"run {self.parent.run_id} holds no {INPUTS_FILE}: int8 needs real inputs to measure "
                    "ranges on; let the train component log some, or ask for fp16"
                )
            _quantize_int8(original, target, real_batches(calibration.inputs), metadata)
        name = f"quantize-{self.source.name}-v{self.source.version}-{self.rule.variant}"
        with (
            registry.mlflow_errors(f"record the run {name}"),
            mlflow.start_run(experiment_id=experiment, run_name=name, tags=tags) as run,
        ):
            mlflow.log_params({**asdict(self.rule), _SOURCE_NAME: self.source.name})
            mlflow.log_artifact(str(target))
            mlflow.set_tag(FILE_SHA256, sha256_of(target))
        return registry.get_run(self.client, run.info.run_id)

    def finish(self, run: Run) -> Outcome:
        """Judge the file of that run, register it if it passes, and write down the answer."""
        original = self._original()
        path = download(run.info.run_id, MODEL_FILE, self._subfolder("variant"))
        threads = torch.get_num_threads()
        session = open_session(str(path), threads)
        sample = sample_shape(session)
        before, after = onnx_predictor(open_session(str(original), threads)), onnx_predictor(session)
        real = self._real(original, calibration=False)
        random = partial(random_batches, self.rule.samples, sample, self.rule.seed)
        judged = judge(before, after, real, random)
        example = example_of(sample, self.rule.seed)
        gain = speedup(before, after, example[:1])
        result, reason = judged.result(self.rule)
        log.info("%s %s: %s", self.rule.variant, result, reason)
        metrics = _metrics(judged, gain, path.stat().st_size / original.stat().st_size)
        real_inputs = len(real) if real else 0
        record_metrics(self.client, run.info.run_id, metrics, result == "passed", real_inputs)
        version = self._register(run, path, example, metrics) if result == "passed" else ""
        outcome = Outcome(
            result,
            version,
            judged.difference.agreement,
            judged.accuracy_drop,
            gain,
            metrics["variant_size_ratio"],
            real_inputs,
            reason,
        )
        with registry.mlflow_errors(f"record the answer in run {run.info.run_id}"):
            self.client.set_tag(run.info.run_id, _ANSWER, json.dumps(asdict(outcome)))
        return outcome

    def _register(self, run: Run, path: Path, example: Array, metrics: dict[str, float]) -> str:
        """The version that holds the file, with the alias `deploy`."""
        name, run_id = f"{self.source.name}-{self.rule.variant}", run.info.run_id
        origin = {key: value for key, value in run.data.tags.items() if key in _ORIGIN}
        tags = {**origin, **self.parent.tags(), "export.run_id": run_id, **metrics}
        return str(register_onnx(self.client, name, run_id, path, example, tags).version)

    def _original(self) -> Path:
        path = self.folder / "original" / MODEL_FILE
        if not path.exists():
            where = f"models:/{self.source.name}/{self.source.version}/{MODEL_FILE}"
            with registry.mlflow_errors(f"download {where}"):
                mlflow.artifacts.download_artifacts(where, dst_path=str(self._subfolder("original")))
        return path

    def _real(self, original: Path, *, calibration: bool) -> RealSamples | None:
        """Every other sample of the training run: those in between are for the other purpose."""
        sample = sample_shape(open_session(str(original), threads=1))
        real = read_real_samples(self.client, self.parent.run_id, sample, self._subfolder("samples"))
        if real is None or self.rule.variant == "fp16":
            return real
        if len(real) < 2:
            raise StepError(
                f"{INPUTS_FILE} holds {len(real)} sample; one to calibrate and one to judge are needed"
            )
        return real.part(slice(0 if calibration else 1, None, 2))

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder


def _metrics(judged: Judged, gain: float, size_ratio: float) -> dict[str, float]:
    """The measurements, where possible under the names that deployments read; against the float model."""
    metrics = {
        "validation_max_diff": judged.difference.max,
        "validation_mean_diff": judged.difference.mean,
        "validation_median_diff": judged.difference.median,
        "validation_argmax_agreement": judged.difference.agreement,
        "validation_onnx_speedup": gain,
        "variant_size_ratio": size_ratio,
    }
    if judged.accuracy_drop is not None:
        metrics["variant_accuracy_drop"] = judged.accuracy_drop
    return metrics


def _quantize_int8(
    source: Path, target: Path, batches: Iterator[Array], metadata: Mapping[str, object]
) -> None:
    """Write `source` with weights and activations of 8 bits (QDQ) to `target`; same inputs, same bytes.

    The ranges of the activations are those that they take on the calibration inputs. Weights have a scale for
    each channel and use 7 of their 8 bits: with 8, processors without VNNI instructions overflow.

    Args:
        source: a float32 model with one input.
        target: the file to write.
        batches: calibration inputs, which must be like those of production.
        metadata: kept in the file as JSON texts, beside that of `source`.

    Raises:
        StepError: the model cannot be quantized.
    """
    prepared = target.with_suffix(".prepared")
    name = onnx.load(source).graph.input[0].name
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Reader(name, batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    except Exception as error:  # the quantizer's errors have no common base
        raise StepError(f"{source.name} cannot be quantized to int8: {_first_line(error)}") from error
    finally:
        prepared.unlink(missing_ok=True)
    _finish(onnx.load(target), source, target, metadata)


def _convert_fp16(source: Path, target: Path, metadata: Mapping[str, object]) -> None:
    """Write `source` with weights and arithmetic of 16-bit floats to `target`; meant for GPUs.

    Raises:
        StepError: the model cannot be converted.
    """
    try:
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        OnnxModel(model).topological_sort(is_deterministic=True)  # the converter appends its casts at the end
    except Exception as error:  # the converter's errors have no common base
        raise StepError(f"{source.name} cannot be converted to fp16: {_first_line(error)}") from error
    _finish(model, source, target, metadata)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration inputs as ONNX Runtime wants them."""

    def __init__(self, name: str, batches: Iterator[Array]) -> None:
        self._name, self._batches = name, batches

    def get_next(self) -> dict[str, Array] | None:
        """The next batch; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def _finish(model: onnx.ModelProto, source: Path, target: Path, metadata: Mapping[str, object]) -> None:
    """Keep the source's own metadata and only the operator sets in use, and check the file.

    The quantizer declares every operator set that it knows; an older server refuses those it does not.
    """
    original = onnx.load(source)
    told = {entry.key: entry.value for entry in original.metadata_props}
    onnx.helper.set_model_props(
        model, {**told, **{key: json.dumps(value) for key, value in metadata.items()}}
    )
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, target)
    check_onnx(target)
    log.info("%s: %.1f MB, was %.1f MB", target.name, _megabytes(target), _megabytes(source))


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
