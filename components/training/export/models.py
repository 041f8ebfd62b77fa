"""Models and small files, loaded back from MLflow; and the tags that lead from an ONNX model to its origin.

The tags name the PyTorch version and its run, and the ONNX model is found by them.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
import mlflow.pytorch
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model
from mlflow.tracking import MlflowClient
from torch import nn

from argosy.components.shared import registry
from argosy.components.shared.registry import mlflow_errors
from argosy.components.shared.run_files import download
from argosy.errors import StepError

__all__ = ["StoredModel", "download", "load_pytorch", "read_json", "sha256"]
# `mlflow.pytorch` keeps a pickled network under this name, and an exported program under another.
_PICKLED = "model.pth"
_PICKLES = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
MODEL_FILE = "model.onnx"  # the artifact of an export run
LABELS_FILE = "labels.json"
PREPROCESSING_FILE = "preprocessing.json"
FILE_SHA256 = "export.sha256"  # tag of an export run, written when the file is there
_MODEL_NAME, _VERSION, _RUN = "pytorch.model_name", "pytorch.version", "pytorch.run_id"


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


def sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
