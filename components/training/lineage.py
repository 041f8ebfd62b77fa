"""Where an export came from: tags that lead from an ONNX model back to the PyTorch version and its run."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from argosy.errors import StepError

MODEL_FILE = "model.onnx"  # the artifact of an export run
LABELS_FILE = "labels.json"
PREPROCESSING_FILE = "preprocessing.json"

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
        tags = run.data.tags
        missing = [tag for tag in (_MODEL_NAME, _VERSION, _RUN) if tag not in tags]
        if missing:
            raise StepError(f"run {run.info.run_id} is no export: it lacks the tags {', '.join(missing)}")
        return cls(tags[_MODEL_NAME], tags[_VERSION], tags[_RUN])

    def tags(self) -> dict[str, str]:
        """The parent as tags of a run or a version."""
        return {_MODEL_NAME: self.model_name, _VERSION: self.version, _RUN: self.run_id}
