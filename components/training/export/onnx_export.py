"""Export runs: a registered PyTorch model becomes one self-contained ONNX file in an MLflow run of its own.

The run says where the file came from; the file is valid ONNX, with shapes that agree from input to output.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from onnx.shape_inference import InferenceError
from torch import nn

from argosy.components.shared.registry import get_run, mlflow_errors
from argosy.components.shared.shape import InputShape
from argosy.components.training.champion.candidates import fingerprint
from argosy.components.training.export.models import (
    FILE_SHA256,
    LABELS_FILE,
    MODEL_FILE,
    PREPROCESSING_FILE,
    Parent,
    complete_run,
    load_pytorch,
    read_json,
    sha256,
)
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

STEP = "export-onnx"
INPUT, _OUTPUT, _BATCH = "input", "output", "batch_size"
# The newest operator set that ONNX Runtime and the exporter both treat as settled.
_OPSET = 18


def export_version(client: MlflowClient, version: ModelVersion, shape: InputShape) -> str:
    """Export a registered version into a run of the experiment of its training run; return the run's id.

    An export of the same version by the same exporter that is there already is returned as it is. One that
    was cut off is left alone: its run lacks the checksum, which is written last.

    Raises:
        UsageError: `shape` is not the one that the model was trained with.
        StepError: the version or its run is gone, the model cannot be exported, or MLflow failed.
    """
    parent = Parent.of_version(version)
    training = get_run(client, parent.run_id)
    _check_size(training.data.params.get("image_size"), shape, parent)
    sample = ",".join(map(str, shape.sample))
    tags = {"step": STEP, "export.sample": sample, "export.exporter": _exporter(), **parent.tags()}
    earlier = complete_run(client, training.info.experiment_id, tags)
    if earlier is not None:
        log.info("run %s holds this export already", earlier.info.run_id)
        return str(earlier.info.run_id)
    stored = load_pytorch(parent.model_name, parent.version)
    _check_sample(stored.sample, shape, parent)
    name = f"export-{parent.model_name}-v{parent.version}"
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch, mlflow_errors(f"record the run {name}"):
        files = _files(client, parent.run_id, Path(scratch))
        path = Path(scratch) / MODEL_FILE
        export_onnx(stored.module, shape.sample, path, _properties(parent, training, files))
        with mlflow.start_run(experiment_id=training.info.experiment_id, run_name=name, tags=tags) as run:
            mlflow.log_params({"input_shape": str(shape), **parent.tags()})
            for file, content in files.items():
                mlflow.log_dict(content, file)  # type: ignore[arg-type]
            mlflow.log_artifact(str(path))
            mlflow.set_tag(FILE_SHA256, sha256(path))
    log.info("run %s (%s) holds %s", run.info.run_id, name, MODEL_FILE)
    return str(run.info.run_id)


def _exporter() -> str:
    """The versions that determine the file beside the model: PyTorch, its exporter, the operator set."""
    parts = [f"{package} {installed(package)}" for package in ("torch", "onnxscript")]
    return ", ".join([*parts, f"opset {_OPSET}"])


def _files(client: MlflowClient, run_id: str, folder: Path) -> dict[str, object]:
    """Class names and preparation of the inputs, by file name, as far as the training run tells them."""
    found = {name: read_json(client, run_id, name, folder) for name in (LABELS_FILE, PREPROCESSING_FILE)}
    return {name: content for name, content in found.items() if content is not None}


def _properties(parent: Parent, training: Run, files: dict[str, object]) -> dict[str, object]:
    """The ONNX file's own description, which goes wherever the file goes."""
    properties: dict[str, object] = {file.removesuffix(".json"): content for file, content in files.items()}
    properties |= {
        "model_name": parent.model_name,
        "model_version": parent.version,
        "run_id": parent.run_id,
        "dataset_fingerprint": fingerprint(training),
    }
    return {name: value for name, value in properties.items() if value != ""}


def _check_size(trained: str | None, shape: InputShape, parent: Parent) -> None:
    """Compare with the image size that the training run noted, if it did."""
    asked = "x".join(map(str, shape.sample[-2:]))
    if trained is not None and trained != asked:
        raise UsageError(
            f"version {parent.version} of {parent.model_name!r} was trained at {trained} pixels, "
            f"and input_shape asks for {asked}"
        )


def _check_sample(stored: tuple[int, ...] | None, shape: InputShape, parent: Parent) -> None:
    """Compare with the model's signature: a stored program accepts samples of its own shape and no other."""
    if stored is not None and stored != shape.sample:
        raise UsageError(
            f"version {parent.version} of {parent.model_name!r} takes samples of shape "
            f"{','.join(map(str, stored))}, and input_shape asks for {','.join(map(str, shape.sample))}"
        )


def export_onnx(
    model: nn.Module, sample: tuple[int, ...], path: Path, metadata: Mapping[str, object]
) -> None:
    """Write `model` to `path` as ONNX: "input" (batch_size, *sample) to "output" (batch_size, ...).

    The batch stays free: the trace uses two samples, since a trace of one would freeze it.

    Args:
        model: on the CPU, traced as it is; it turns one float32 tensor into one tensor.
        sample: the shape of one sample, without the batch.
        path: the file to write; all weights are inside.
        metadata: kept in the file as JSON texts under these names.

    The same model gives the same bytes, with the same versions of PyTorch and the exporter.

    Raises:
        StepError: the model does not accept such samples, cannot be exported, or the file is no valid ONNX.
    """
    for chatty in ("onnx_ir", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    example = torch.zeros(2, *sample)
    _try(model, example)
    try:
        with warnings.catch_warnings():
            # The exporter deprecates its own parts; whoever runs the step can do nothing about it.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=[_OUTPUT],
                dynamo=True,
                external_data=False,
                opset_version=_OPSET,
                dynamic_shapes=({0: _BATCH},),
                verbose=False,
            )
        _finish(path, metadata)
    except torch.onnx.errors.OnnxExporterError as error:
        raise StepError(
            f"the model cannot be exported to ONNX: {str(error).strip().splitlines()[0]}"
        ) from error


def _try(model: nn.Module, example: torch.Tensor) -> None:
    """Run the model once: what it refuses here the exporter would refuse with pages of its own workings."""
    shape = "x".join(map(str, example.shape[1:]))
    try:
        with torch.inference_mode():
            answer = model(example)
    except Exception as error:  # whatever a network raises on input that it was not made for
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise StepError(
            f"the model does not accept a batch of {len(example)} samples of shape {shape}: {reason[0]}"
        ) from error
    if not isinstance(answer, torch.Tensor):
        raise StepError(f"the model answers with a {type(answer).__name__}; it must answer with one tensor")
    if answer.ndim < 1 or len(answer) != len(example):
        raise StepError(
            f"the model answers {len(example)} samples with shape {tuple(answer.shape)}; "
            "the first dimension must be the batch"
        )


def _finish(path: Path, metadata: Mapping[str, object]) -> None:
    """Replace what the exporter noted by `metadata`, and check the file as a whole, inferred shapes included.

    The exporter's notes hold stack traces with paths of this machine: the same model exported elsewhere would
    be another file.
    """
    model = onnx.load(path)
    for graph in [*_graphs(model.graph), *model.functions]:
        _forget(graph, *graph.node)
    for graph in _graphs(model.graph):
        _forget(*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)
    check_onnx(path)
    log.info("%s: %.1f MB, opset %d", path.name, path.stat().st_size / 1e6, model.opset_import[0].version)


def _forget(*parts: Any) -> None:
    for part in parts:
        del part.metadata_props[:]


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those nested in its nodes."""
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for nested in (attribute.g, *attribute.graphs):
            if nested.node:
                yield from _graphs(nested)


def check_onnx(path: Path) -> None:
    """Run ONNX's full checker and its strict shape inference.

    Raises:
        StepError: the file is no ONNX model, breaks ONNX's rules, or its shapes contradict each other.
    """
    try:
        # By path, because a model in memory is limited to 2 GiB. The full check infers shapes in strict mode.
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, InferenceError, DecodeError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise StepError(f"{path.name} is not a valid ONNX model: {reason[0]}") from error
