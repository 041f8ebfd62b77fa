"""metadata.json: where a served model came from, stored beside it in the repository."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from argosy.errors import StepError


@dataclass(frozen=True)
class MlflowOrigin:
    """The registered model version, the runs that made it, and how the deployment asked for it.

    Attributes:
        model_name: the registered ONNX model.
        version: its version.
        run_id: the run that exported it.
        alias_at_deploy: "alias:NAME" or "version:NUMBER".
        run_name: the name of the run that exported it.
        training_run_id: the run that trained it, as the ONNX file itself says; "" where it does not.
        deploy_alias_version: which other version the alias `deploy` pointed to at that time; "" where none.
    """

    model_name: str
    version: str
    run_id: str
    alias_at_deploy: str
    run_name: str
    training_run_id: str = ""
    deploy_alias_version: str = ""


@dataclass(frozen=True)
class TritonStamp:
    """The version in Triton's repository; when (ISO 8601, UTC) and by whom (the pod) it was prepared."""

    version: str
    deployed_at: str
    deployed_by: str


@dataclass(frozen=True)
class ModelFacts:
    """The model itself.

    Attributes:
        format: "onnx".
        file_size_mb: all of its files, in MB of 2**20 bytes.
        sha256: of model.onnx, hexadecimal.
        inputs: `{"name", "shape"}` each.
        outputs: the same.
        data_files: `{"name", "size", "sha256"}` of each file that holds weights beside model.onnx; mostly
            none, and then metadata.json does not mention them.
    """

    format: str
    file_size_mb: float
    sha256: str
    inputs: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    data_files: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class ValidationFacts:
    """Gate 2's numbers: differences between PyTorch and ONNX Runtime; None where it did not run."""

    validation_max_diff: float | None
    validation_mean_diff: float | None
    validation_onnx_speedup: float | None
    validation_median_diff: float | None = None
    validation_argmax_agreement: float | None = None


@dataclass(frozen=True)
class Metadata:
    """All of metadata.json; `triton` is unknown until the version is claimed and the files are prepared."""

    mlflow: MlflowOrigin
    triton: TritonStamp | None
    model: ModelFacts
    validation: ValidationFacts

    def write(self, path: Path) -> None:
        """Write the file, in the order of the fields."""
        blocks = asdict(self)
        for block, field in _ONLY_WHERE_KNOWN:
            if not blocks[block][field]:
                del blocks[block][field]
        path.write_text(json.dumps(blocks, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Metadata:
        """Read what `write` wrote.

        Raises:
            StepError: it is no JSON, or a field is missing or unknown.
        """
        try:
            blocks = json.loads(path.read_text(encoding="utf-8"))
            stamp = blocks["triton"] and TritonStamp(**blocks["triton"])
            origin, facts = MlflowOrigin(**blocks["mlflow"]), ModelFacts(**blocks["model"])
            return cls(origin, stamp, facts, ValidationFacts(**blocks["validation"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StepError(f"{path.name} is not the metadata of a deployment: {error}") from error


_ONLY_WHERE_KNOWN = (
    ("mlflow", "training_run_id"),
    ("mlflow", "deploy_alias_version"),
    ("model", "data_files"),
)
VALIDATION_METRICS = tuple(field.name for field in fields(ValidationFacts))
