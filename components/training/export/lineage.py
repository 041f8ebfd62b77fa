"""Where an ONNX model came from: tags that lead back to the PyTorch version and its run, and are found by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.errors import StepError

MODEL_FILE = "model.onnx"  # the artifact of an export run
LABELS_FILE = "labels.json"
PREPROCESSING_FILE = "preprocessing.json"
FILE_SHA256 = "export.sha256"  # tag of an export run, written when the file is there

_MODEL_NAME, _VERSION, _RUN = "pytorch.model_name", "pytorch.version", "pytorch.run_id"


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
