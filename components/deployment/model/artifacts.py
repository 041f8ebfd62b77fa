"""The folder that travels from prepare-artifacts to upload-to-s3: made here, read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from argosy.components.deployment.model.layout import (
    CONFIG_FILE,
    METADATA_FILE,
    MODEL_FILE,
    Metadata,
    TritonStamp,
    identity,
)
from argosy.components.deployment.model.onnx_model import check_location, read_signature, unpack
from argosy.components.deployment.model.triton_config import model_config
from argosy.components.shared.files import Fingerprint, fingerprint
from argosy.errors import StepError


@dataclass(frozen=True)
class LocalFile:
    """A file to publish: where it is, and what its bytes are."""

    path: Path
    printed: Fingerprint


@dataclass(frozen=True)
class Artifacts:
    """A prepared version.

    Attributes:
        config: the text of config.pbtxt.
        files: name in the version's folder -> file, in the order in which they are to be published: the data
            files, model.onnx, which makes the version complete, and metadata.json.
    """

    config: str
    files: Mapping[str, LocalFile]

    @property
    def model_files(self) -> dict[str, LocalFile]:
        """The files of the model: all but metadata.json, model.onnx last."""
        return {name: file for name, file in self.files.items() if name != METADATA_FILE}

    @property
    def model_sha256(self) -> str:
        """One checksum for the model, as fetch-model gives it."""
        return identity({name: file.printed.sha256 for name, file in self.model_files.items()})


def lay_out(folder: Path, model: Path, metadata: Path, name: str, version: int, deployed_by: str) -> None:
    """Fill `folder` with config.pbtxt, <version>/model.onnx, its data files and <version>/metadata.json.

    Raises:
        StepError: the metadata or the model cannot be read, or the metadata is another model's.
    """
    known = Metadata.read(metadata)
    if known.mlflow.model_name != name:
        raise StepError(f"the metadata is that of model {known.mlflow.model_name!r}, model_name is {name!r}")
    stamp = TritonStamp(str(version), datetime.now(timezone.utc).isoformat(), deployed_by)
    inside = folder / str(version)
    inside.mkdir()
    signature = read_signature(unpack(model, inside))
    replace(known, triton=stamp).write(inside / METADATA_FILE)
    (folder / CONFIG_FILE).write_text(model_config(name, signature), encoding="utf-8")


def read_artifacts(folder: Path, version: int) -> Artifacts:
    """The work of `lay_out`, checked: the files of exactly this version, the model as its metadata says.

    Raises:
        StepError: a file is missing or unexpected, or the model's bytes changed on the way.
    """
    inside = folder / str(version)
    expected = _expected(inside / METADATA_FILE)
    _check_names(folder, {CONFIG_FILE, *(f"{version}/{name}" for name in (*expected, METADATA_FILE))})
    files = {name: _local(inside / name) for name in (*expected, METADATA_FILE)}
    for name, sha256 in expected.items():
        if files[name].printed.sha256 != sha256:
            raise StepError(
                f"{version}/{name} has sha256 {files[name].printed.sha256}, its metadata says {sha256}: "
                "it was damaged on its way between the steps"
            )
    return Artifacts((folder / CONFIG_FILE).read_text(encoding="utf-8"), files)


def _expected(metadata: Path) -> dict[str, str]:
    """Name -> SHA-256 of the files that the metadata speaks of, model.onnx last."""
    if not metadata.is_file():
        return {MODEL_FILE: ""}
    known = Metadata.read(metadata).model
    data = {check_location(str(one.get("name"))): str(one.get("sha256")) for one in known.data_files}
    return {**data, MODEL_FILE: known.sha256}


def _check_names(folder: Path, names: set[str]) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if found != names:
        raise StepError(f"artifacts hold {sorted(found)}; this version needs exactly {sorted(names)}")


def _local(path: Path) -> LocalFile:
    return LocalFile(path, fingerprint(path))
