"""A published version, read back from where it lies and compared with what its metadata.json says."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from boto3.exceptions import Boto3Error

from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE, Metadata, ModelKeys
from argosy.components.deployment.model.onnx_model import check_location
from argosy.components.deployment.repository.versions import folder_of
from argosy.components.shared.files import MIB, sha256_of
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedModel:
    """A version's files on this machine, data files beside model.onnx, and what is known of them."""

    path: Path
    metadata: Metadata


def read_metadata(bucket: Bucket, keys: ModelKeys, version: int, folder: Path) -> Metadata:
    """The metadata.json of a version in the repository, or in its archive.

    Raises:
        StepError: there is none, it cannot be read, or it is that of another model.
    """
    key = _folder(bucket, keys, version) + METADATA_FILE
    found = bucket.read(key)
    if found is None:
        raise StepError(f"{key} is not in {bucket}: version {version} is not published; run upload-to-s3")
    path = folder / METADATA_FILE
    path.write_bytes(found[0])
    metadata = Metadata.read(path)
    if metadata.mlflow.model_name != keys.model:
        raise StepError(f"{key} is the metadata of model {metadata.mlflow.model_name!r}")
    return metadata


def download_published(bucket: Bucket, keys: ModelKeys, version: int, folder: Path) -> PublishedModel:
    """Download a published version's files into `folder`, each as its metadata describes it.

    Raises:
        StepError: a file is missing, or has another checksum or size than the metadata says.
    """
    metadata = read_metadata(bucket, keys, version, folder)
    facts = metadata.model
    expected = {MODEL_FILE: facts.sha256}
    expected |= {check_location(str(file["name"])): str(file["sha256"]) for file in facts.data_files}
    place = _folder(bucket, keys, version)
    total = sum(_download(bucket, place + name, folder / name, sha256) for name, sha256 in expected.items())
    if round(total / MIB, 2) != facts.file_size_mb:
        raise StepError(
            f"version {version} of {keys.model!r} has {total / MIB:.2f} MB in {bucket}, "
            f"its {METADATA_FILE} says {facts.file_size_mb}"
        )
    log.info("version %d of %s: %.2f MB, checksums as in %s", version, keys.model, total / MIB, METADATA_FILE)
    return PublishedModel(folder / MODEL_FILE, metadata)


def _folder(bucket: Bucket, keys: ModelKeys, version: int) -> str:
    """Where the version lies; where it would be published, if it is nowhere."""
    return folder_of(bucket, keys, version) or keys.version(version)


def _download(bucket: Bucket, key: str, path: Path, sha256: str) -> int:
    """Download one object; its size in bytes."""
    if bucket.head(key) is None:
        raise StepError(f"{key} is not in {bucket}, though its {METADATA_FILE} is: publish it again")
    path.parent.mkdir(parents=True, exist_ok=True)
    with bucket.errors(f"read {key}"):
        try:
            # boto3 reads a part again whose connection broke.
            bucket.client.download_file(bucket.name, key, str(path))
        except Boto3Error as error:
            raise StepError(f"{bucket}: could not read {key}: {error}") from error
    found = sha256_of(path)
    if found != sha256:
        raise StepError(
            f"{key} has sha256 {found}, its {METADATA_FILE} says {sha256}: "
            "it was changed after it was published; deploy it under a new version"
        )
    return path.stat().st_size
