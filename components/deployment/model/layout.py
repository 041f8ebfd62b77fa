"""The form of a deployed model: where its files lie in the bucket, and what its metadata.json says of it.

models/<model>/config.pbtxt                  what Triton reads
models/<model>/<version>/model.onnx
models/<model>/<version>/metadata.json       where the model came from
archive/models/<model>/<version>/...         the files of an old version, where Triton does not look
claims/<model>/<version>.json                who owns a version number
staging/<model>/replaced-<version>/...       the old bytes of a version while it is replaced
locks/<model>/<what>.json                    leases: who does something that only one may do at a time
deployments/<model>/<version>.json           the record: metadata.json, verification, rollback

Names that become part of a key are checked, and one checksum says which model it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from argosy.errors import StepError, UsageError

MODEL_FILE = "model.onnx"
METADATA_FILE = "metadata.json"
CONFIG_FILE = "config.pbtxt"
_MAX_VERSION = 2**63 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
# Triton ignores directories whose number begins with a zero.
_VERSION = re.compile(r"[1-9][0-9]{0,18}")
_RESERVED = ("archive", "claims", "staging", "locks", "deployments", "datasets")
# Of metadata.json.
_ONLY_WHERE_KNOWN = (
    ("mlflow", "training_run_id"),
    ("mlflow", "deploy_alias_version"),
    ("model", "data_files"),
)


def check_name(what: str, value: str) -> str:
    """`value`, when it can stand as one component of a key and of a file's path.

    Raises:
        UsageError: it is empty, too long, or has other characters than letters, digits, '.', '_' and '-'.
    """
    if not _NAME.fullmatch(value) or ".." in value:
        raise UsageError(
            f"{what} {value[:200]!r} cannot be part of a key: use letters, digits, '.', '_' and '-', "
            "begin with a letter or digit, and no '..'"
        )
    return value


def check_version(version: int) -> int:
    """`version`, when Triton takes it as a version's directory.

    Raises:
        UsageError: it is not a number from 1 to 2**63 - 1.
    """
    if not 1 <= version <= _MAX_VERSION:
        raise UsageError(f"Triton version {version} is not a whole number from 1 to {_MAX_VERSION}")
    return version


def version_number(name: str) -> int | None:
    """The number that a folder's name is, as Triton reads it; None for a name that Triton ignores."""
    return int(name) if _VERSION.fullmatch(name) and int(name) <= _MAX_VERSION else None


@dataclass(frozen=True)
class ModelKeys:
    """The keys of one model; `prefix` is the repository that Triton reads.

    Raises:
        UsageError: a name that cannot be part of a key, or a prefix that would put claims or uploads before
            Triton's eyes.
    """

    prefix: str
    model: str

    def __post_init__(self) -> None:
        check_name("model_name", self.model)
        parts = self.prefix.strip("/").split("/")
        for part in parts:
            check_name("s3_prefix", part)
        if parts[0] in _RESERVED:
            raise UsageError(f"s3_prefix {self.prefix!r}: {', '.join(_RESERVED)} are kept for other things")
        object.__setattr__(self, "prefix", "/".join(parts))

    @property
    def root(self) -> str:
        """The model's folder in the repository."""
        return f"{self.prefix}/{self.model}/"

    @property
    def config(self) -> str:
        """The model's config.pbtxt."""
        return f"{self.root}{CONFIG_FILE}"

    @property
    def claims(self) -> str:
        """The folder of all claims on the model's versions."""
        return f"claims/{self.model}/"

    def claim(self, version: int) -> str:
        """The claim on one version."""
        return f"{self.claims}{check_version(version)}.json"

    @property
    def locks(self) -> str:
        """The folder of the model's leases."""
        return f"locks/{self.model}/"

    def lock(self, what: str) -> str:
        """One lease: "serving" for what Triton serves of the model, "aliases" for its aliases in MLflow."""
        return f"{self.locks}{check_name('lock', what)}.json"

    @property
    def records(self) -> str:
        """The folder of the records of all deployments of the model."""
        return f"deployments/{self.model}/"

    def record(self, version: int) -> str:
        """The record of one version's deployment."""
        return f"{self.records}{check_version(version)}.json"

    def version(self, version: int) -> str:
        """A version's folder in the repository."""
        return f"{self.root}{check_version(version)}/"

    @property
    def archive(self) -> str:
        """The folder of the model's old versions, outside of what Triton reads."""
        return f"archive/{self.root}"

    def archived(self, version: int) -> str:
        """A version's folder in the archive."""
        return f"{self.archive}{check_version(version)}/"

    @property
    def stagings(self) -> str:
        """The folder of the model's files that no server is told of."""
        return f"staging/{self.model}/"

    def replaced(self, version: int) -> str:
        """The folder of a version's old bytes while it is replaced."""
        return f"{self.stagings}replaced-{check_version(version)}/"


def identity(checksums: Mapping[str, str]) -> str:
    """One checksum for a model: that of model.onnx, or of the list of all files where it has more.

    Args:
        checksums: file name -> SHA-256, hexadecimal; model.onnx and its data files.
    """
    if set(checksums) == {MODEL_FILE}:
        return checksums[MODEL_FILE]
    lines = "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
    return hashlib.sha256(lines.encode()).hexdigest()


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


VALIDATION_METRICS = tuple(field.name for field in fields(ValidationFacts))


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
