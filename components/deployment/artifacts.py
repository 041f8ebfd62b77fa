"""The folder that travels from prepare-artifacts to upload-to-s3: made here, read here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from argosy.components.deployment.layout import CONFIG_FILE, METADATA_FILE, MODEL_FILE
from argosy.components.deployment.metadata import Metadata, TritonStamp
from argosy.components.deployment.onnx_model import read_signature
from argosy.components.deployment.triton_config import model_config
from argosy.components.shared.s3 import sha256_of
from argosy.errors import StepError


@dataclass(frozen=True)
class LocalFile:
    """A file to publish: where it is, its size in bytes, its SHA-256."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Artifacts:
    """A prepared version.

    Attributes:
        config: the text of config.pbtxt.
        files: name in the version's folder -> file, in the order in which they are to be published.
    """

    config: str
    files: Mapping[str, LocalFile]

    @property
    def model_sha256(self) -> str:
        """The checksum of the model file."""
        return self.files[MODEL_FILE].sha256


def lay_out(folder: Path, model: Path, metadata: Path, name: str, version: int, deployed_by: str) -> None:
    """Fill `folder` with config.pbtxt, <version>/model.onnx and <version>/metadata.json.

    Raises:
        StepError: the metadata or the model cannot be read, or the metadata is another model's.
    """
    known = Metadata.read(metadata)
    if known.mlflow.model_name != name:
        raise StepError(f"the metadata is that of model {known.mlflow.model_name!r}, model_name is {name!r}")
    stamp = TritonStamp(str(version), datetime.now(timezone.utc).isoformat(), deployed_by)
    inside = folder / str(version)
    inside.mkdir()
    _link(model.resolve(), inside / MODEL_FILE)
    replace(known, triton=stamp).write(inside / METADATA_FILE)
    (folder / CONFIG_FILE).write_text(model_config(name, read_signature(model)), encoding="utf-8")


def read_artifacts(folder: Path, version: int) -> Artifacts:
    """What `lay_out` made, checked: the files of exactly this version, the model as its metadata says.

    Raises:
        StepError: a file is missing or unexpected, or the model's bytes changed on the way.
    """
    names = {CONFIG_FILE, f"{version}/{MODEL_FILE}", f"{version}/{METADATA_FILE}"}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if found != names:
        raise StepError(f"artifacts hold {sorted(found)}; version {version} needs exactly {sorted(names)}")
    inside = folder / str(version)
    # The order in which they are published: a version's folder comes into being with its model.
    files = {name: _local(inside / name) for name in (MODEL_FILE, METADATA_FILE)}
    expected = Metadata.read(inside / METADATA_FILE).model.sha256
    if files[MODEL_FILE].sha256 != expected:
        raise StepError(
            f"{version}/{MODEL_FILE} has sha256 {files[MODEL_FILE].sha256}, its metadata says {expected}: "
            "it was damaged on its way between the steps"
        )
    return Artifacts((folder / CONFIG_FILE).read_text(encoding="utf-8"), files)


def _local(path: Path) -> LocalFile:
    return LocalFile(path, path.stat().st_size, sha256_of(path))


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
