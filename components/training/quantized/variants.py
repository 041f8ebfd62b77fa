"""A smaller variant of a validated ONNX model, from the registry to the registry."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import mlflow
import torch
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.export.lineage import FILE_SHA256, MODEL_FILE, Parent, complete_run
from argosy.components.training.export.models import download, sha256
from argosy.components.training.numerical.comparison import speedup
from argosy.components.training.numerical.onnx_registry import PASSED, record_metrics, register_onnx
from argosy.components.training.numerical.predictors import Array, onnx_predictor, open_session, sample_shape
from argosy.components.training.numerical.samples import (
    INPUTS_FILE,
    RealSamples,
    example_of,
    random_batches,
    read_real_samples,
    real_batches,
)
from argosy.components.training.quantized.quantization import convert_fp16, quantize_int8
from argosy.components.training.quantized.variant_gate import Judged, VariantRule, judge
from argosy.errors import StepError

log = logging.getLogger(__name__)

_ANSWER, _STEP = "variant.answer", "quantize-onnx"
_SOURCE_NAME, _SOURCE_VERSION = "onnx.model_name", "onnx.version"


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
            convert_fp16(original, target, metadata)
        else:
            calibration = self._real(original, calibration=True)
            if calibration is None:
                raise StepError(
                    f"run {self.parent.run_id} holds no {INPUTS_FILE}: int8 needs real inputs to measure "
                    "ranges on; let the train component log some, or ask for fp16"
                )
            quantize_int8(original, target, real_batches(calibration.inputs), metadata)
        name = f"quantize-{self.source.name}-v{self.source.version}-{self.rule.variant}"
        with (
            registry.mlflow_errors(f"record the run {name}"),
            mlflow.start_run(experiment_id=experiment, run_name=name, tags=tags) as run,
        ):
            mlflow.log_params({**asdict(self.rule), _SOURCE_NAME: self.source.name})
            mlflow.log_artifact(str(target))
            mlflow.set_tag(FILE_SHA256, sha256(target))
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


_ORIGIN = frozenset({_SOURCE_NAME, _SOURCE_VERSION, FILE_SHA256})


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
