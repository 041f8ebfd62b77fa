"""From a registered PyTorch model to one self-contained ONNX file in an MLflow run of its own: an export.

The run says where the file came from: its tags name the PyTorch version and its run, and the ONNX model is
found by them. The file is valid ONNX, with shapes that agree from input to output. Models and small files are
loaded back from MLflow here as well.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
import mlflow.pytorch
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from onnx.shape_inference import InferenceError
from torch import nn

from argosy.components.shared import registry
from argosy.components.shared.files import sha256_of
from argosy.components.shared.registry import get_run, mlflow_errors
from argosy.components.shared.run_files import download
from argosy.components.training.champion import fingerprint
from argosy.components.training.recipe import InputShape
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

STEP = "export-onnx"
INPUT, _OUTPUT, _BATCH = "input", "output", "batch_size"
# The newest operator set that ONNX Runtime and the exporter both treat as settled.
_OPSET = 18
# `mlflow.pytorch` keeps a pickled network under this name, and an exported program under another.
_PICKLED = "model.pth"
_PICKLES = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
MODEL_FILE = "model.onnx"  # the artifact of an export run
LABELS_FILE = "labels.json"
PREPROCESSING_FILE = "preprocessing.json"
FILE_SHA256 = "export.sha256"  # tag of an export run, written when the file is there
_MODEL_NAME, _VERSION, _RUN = "pytorch.model_name", "pytorch.version", "pytorch.run_id"


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
            mlflow.set_tag(FILE_SHA256, sha256_of(path))
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


@dataclass(frozen=True)
class StoredModel:
    """A network as it was stored.

    Attributes:
        module: the network, on the CPU, as it was exported in evaluation mode.
        sample: the shape of one sample, without the batch; None where the model has no signature, or leaves
            more than the batch free.
    """

    module: nn.Module
    sample: tuple[int, ...] | None


def load_pytorch(name: str, version: str) -> StoredModel:
    """The network of exactly this registered version. No pickled code is run.

    Raises:
        StepError: there is no such version, it is no PyTorch model, it was stored as a pickle, or its input
            is not one float32 tensor.
    """
    where = f"version {version} of model {name!r}"
    with tempfile.TemporaryDirectory(prefix="argosy-") as scratch, mlflow_errors(f"load {where}"):
        folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=scratch))
        if next(folder.rglob(_PICKLED), None) is not None:
            raise StepError(
                f"{where} was stored as a pickle, which can run any code when it is loaded; log it with an "
                "input_example of two samples, so that MLflow stores an exported program"
            )
        description = Model.load(str(folder))
        if description.flavors.get("pytorch", {}).get("code"):
            raise StepError(f"{where} brings Python code of its own, which would run here; log it without")
        sample = _sample_shape(description, where)
        with _without_pickles():
            module: nn.Module = mlflow.pytorch.load_model(str(folder))
    # An exported program has no train() and eval(); its layers were fixed when it was stored. The flag only
    # keeps exporters from warning.
    for part in module.modules():
        part.training = False
    return StoredModel(module, sample)


@contextmanager
def _without_pickles() -> Iterator[None]:
    """MLflow refuses what torch would unpickle: also an exported program may hold pickles."""
    before = os.environ.get(_PICKLES)
    os.environ[_PICKLES] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PICKLES]
        else:
            os.environ[_PICKLES] = before


def read_json(client: MlflowClient, run_id: str, artifact: str, folder: Path) -> Any:
    """The content of a JSON artifact of a run; None where the run has none.

    Raises:
        StepError: MLflow failed, or the artifact is no JSON.
    """
    with mlflow_errors(f"list the artifacts of run {run_id}"):
        present = {entry.path for entry in client.list_artifacts(run_id)}
    if artifact not in present:
        return None
    try:
        return json.loads(download(run_id, artifact, folder).read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepError(f"{artifact} of run {run_id} is no JSON: {error}") from error


def _sample_shape(description: Model, where: str) -> tuple[int, ...] | None:
    """The shape of one sample from the model's signature, which is optional."""
    inputs = description.signature.inputs if description.signature else None
    if inputs is None or not inputs.is_tensor_spec():
        return None
    specs = inputs.inputs
    if len(specs) != 1 or str(specs[0].type) != "float32":
        taken = ", ".join(f"{spec.type} {spec.shape}" for spec in specs)
        raise StepError(f"{where} takes {taken}; only models with one float32 input can be exported")
    shape = tuple(int(size) for size in specs[0].shape)
    return shape[1:] if all(size > 0 for size in shape[1:]) else None


@dataclass(frozen=True)
class Parent:
    """The registered PyTorch model that an export was made from."""

    model_name: str
    version: str
    run_id: str

    @classmethod
    def of_version(cls, version: ModelVersion) -> Parent:
        """The parent that this registered version is."""
        return cls(version.name, str(version.version), version.run_id or "")

    @classmethod
    def of_export(cls, run: Run) -> Parent:
        """The parent that an export run names.

        Raises:
            StepError: the run is no export.
        """
        return cls.of_tags(run.data.tags, f"run {run.info.run_id}")

    @classmethod
    def of_tags(cls, tags: Mapping[str, str], where: str) -> Parent:
        """The parent that the tags of `where`, an export's run or version, name.

        Raises:
            StepError: they name none.
        """
        missing = [tag for tag in (_MODEL_NAME, _VERSION, _RUN) if tag not in tags]
        if missing:
            raise StepError(f"{where} is no export: it lacks the tags {', '.join(missing)}")
        return cls(tags[_MODEL_NAME], tags[_VERSION], tags[_RUN])

    def tags(self) -> dict[str, str]:
        """The parent as tags of a run or a version."""
        return {_MODEL_NAME: self.model_name, _VERSION: self.version, _RUN: self.run_id}


def complete_run(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> Run | None:
    """The oldest run of the experiment that has all these tags and holds a whole file; None without one.

    Raises:
        StepError: MLflow failed.
    """
    # The value of a tag may hold a quote, which a filter cannot; the id of a run never does.
    known = f"tags.`{_RUN}` = '{tags[_RUN]}'"
    with registry.mlflow_errors("look for earlier runs"):
        runs = client.search_runs([experiment_id], known, order_by=["attributes.start_time ASC"])
    wanted = dict(tags).items()
    return next(
        (run for run in runs if FILE_SHA256 in run.data.tags and wanted <= run.data.tags.items()), None
    )
