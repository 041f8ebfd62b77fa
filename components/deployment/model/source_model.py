"""The registered ONNX model: its files, and what MLflow knows of it."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.components.deployment.model.bundle import pack
from argosy.components.deployment.model.embedding import embed, embedded_size
from argosy.components.deployment.model.external_data import data_files
from argosy.components.deployment.model.identity import identity
from argosy.components.deployment.model.layout import MODEL_FILE
from argosy.components.deployment.model.metadata import (
    VALIDATION_METRICS,
    Metadata,
    MlflowOrigin,
    ModelFacts,
    ValidationFacts,
)
from argosy.components.deployment.model.onnx_model import (
    MAX_PROTOBUF_BYTES,
    Signature,
    check_model,
    load_graph,
    signature_of,
    training_run_of,
)
from argosy.components.deployment.model.source_files import SourceFiles
from argosy.components.shared import registry
from argosy.components.shared.fingerprint import MIB, sha256_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

DEPLOY = "deploy"  # the alias that Gate 2 sets


@dataclass(frozen=True)
class SourceModel:
    """A downloaded and checked model.

    Attributes:
        file: the one file that travels on (see `bundle`).
        signature: its inputs and outputs.
        files: name -> size in bytes and SHA-256 of model.onnx and its data files.
        training_run_id: the run that trained it, as the file says; "" where it does not.
    """

    file: Path
    signature: Signature
    files: Mapping[str, tuple[int, str]]
    training_run_id: str = ""

    @property
    def sha256(self) -> str:
        """One checksum for all of it."""
        return identity({name: sha256 for name, (_, sha256) in self.files.items()})


def fetch(version: ModelVersion, folder: Path, single_file_bytes: int = MAX_PROTOBUF_BYTES) -> SourceModel:
    """Download a version's model.onnx and the data files that it names, check them, and make them one file.

    Args:
        version: the registered version.
        folder: where to; holds `model.onnx`, the one file, afterwards.
        single_file_bytes: a model up to this size gets its weights inside of model.onnx.

    Raises:
        StepError: a file is missing, truncated or no ONNX, a data file lies outside of the model's folder,
            or the server failed.
    """
    source = SourceFiles(version, folder / "download")
    model = source.download(MODEL_FILE)
    graph = load_graph(model)
    names = data_files(graph)
    for name in names:
        source.download(name)
    file = folder / MODEL_FILE
    if names and embedded_size(model, graph) <= single_file_bytes:
        log.info("%s: the weights of %s go into it", MODEL_FILE, ", ".join(names))
        embed(graph, model.parent, file)
        model, names = file, []
    signature, training_run_id = signature_of(graph), training_run_of(graph)
    del graph
    check_model(model)
    paths = {MODEL_FILE: model, **{name: model.parent / name for name in names}}
    files = {name: (path.stat().st_size, sha256_of(path)) for name, path in paths.items()}
    if names:
        pack(model, names, file)
    elif model != file:
        model.rename(file)
    shutil.rmtree(source.folder)
    return SourceModel(file, signature, files, training_run_id)


def describe(client: MlflowClient, version: ModelVersion, source: str, model: SourceModel) -> Metadata:
    """The metadata of a downloaded model, without the stamp that Triton's version brings.

    Args:
        client: connected to the registry.
        version: the registered version.
        source: how the deployment asked for it, "alias:deploy" or "version:5"; "" where it took the version
            that its own workflow validated.
        model: what was downloaded.
    """
    run = registry.get_run(client, version.run_id) if version.run_id else None
    name = (run.info.run_name or "") if run else ""
    here, pointed_at = str(version.version), _deploy_alias(client, version.name)
    if pointed_at != here:
        log.info("version %s is deployed; the alias %s points to %s", here, DEPLOY, pointed_at or "none")
    origin = MlflowOrigin(
        model_name=version.name,
        version=str(version.version),
        run_id=version.run_id or "",
        alias_at_deploy=source or (f"version:{version.version}" if pointed_at != here else f"alias:{DEPLOY}"),
        run_name=name,
        training_run_id=model.training_run_id,
        deploy_alias_version=pointed_at if pointed_at != here else "",
    )
    data = [(name, *known) for name, known in model.files.items() if name != MODEL_FILE]
    facts = ModelFacts(
        format="onnx",
        file_size_mb=round(sum(size for size, _ in model.files.values()) / MIB, 2),
        sha256=model.files[MODEL_FILE][1],
        inputs=tuple(tensor.to_dict() for tensor in model.signature.inputs),
        outputs=tuple(tensor.to_dict() for tensor in model.signature.outputs),
        data_files=tuple({"name": name, "size": size, "sha256": sha256} for name, size, sha256 in data),
    )
    measured = {metric: _measured(version, run, metric) for metric in VALIDATION_METRICS}
    return Metadata(origin, None, facts, ValidationFacts(**measured))


def _deploy_alias(client: MlflowClient, name: str) -> str:
    """The version that the alias `deploy` points to, "" where it is not set."""
    found = registry.version_by_alias(client, name, DEPLOY)
    return "" if found is None else str(found.version)


def _measured(version: ModelVersion, run: Run | None, metric: str) -> float | None:
    """A number of Gate 2: the export run's metric, else the version's tag of that name."""
    found = run.data.metrics.get(metric) if run else None
    value = found if found is not None else _number(version.tags.get(metric))
    if value is None or not math.isfinite(value):
        log.warning("version %s of %s has no %s: was it validated?", version.version, version.name, metric)
        return None
    return float(value)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
