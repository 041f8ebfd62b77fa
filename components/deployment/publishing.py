"""Publishing a version: all or nothing to everyone who reads the repository.

S3 has no rename, and Triton reads a folder whenever it is told to load.  So:

1. everything is uploaded to a staging folder that no server is told of, and read back to compare checksums;
2. config.pbtxt is written if the model has none;
3. model.onnx is copied inside S3, one atomic object, only if the version has none: with it the version's
   folder comes into being, complete for Triton from its first moment;
4. metadata.json, which Triton does not read, follows.

Keys are never overwritten: S3's times have a resolution of one second, and Triton may miss a change within
it.  A run that was killed anywhere in between is finished by running it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from argosy.components.deployment.artifacts import Artifacts, LocalFile
from argosy.components.deployment.claims import immutable, published_sha256, read_claim
from argosy.components.deployment.layout import METADATA_FILE, MODEL_FILE, ModelKeys
from argosy.components.deployment.triton_config import describe, fits
from argosy.components.shared.s3 import MIB, Bucket
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publication:
    """One deployment's right and place to publish a version."""

    bucket: Bucket
    keys: ModelKeys
    version: int
    owner: str

    @property
    def staging(self) -> str:
        """The folder of this deployment's uploads."""
        return self.keys.staging(self.version, self.owner)

    @property
    def target(self) -> str:
        """The version's folder in the repository."""
        return self.keys.version(self.version)

    @property
    def uri(self) -> str:
        """The version's folder as an address."""
        return f"s3://{self.bucket.name}/{self.target}"


def publish(place: Publication, artifacts: Artifacts) -> str:
    """Publish a prepared version; one that is published already with the same model is left as it is.

    Returns:
        The address of the version's folder.

    Raises:
        StepError: the version belongs to another deployment, is published with other bytes, does not fit
            the model's config.pbtxt, or S3 failed.
    """
    check_config(place, artifacts.config)
    missing = [name for name in artifacts.files if not _published(place, name, artifacts)]
    if not missing:
        log.info("%s is published already, with the same model", place.uri)
        return place.uri
    if MODEL_FILE in missing:
        check_claim(place, artifacts.model_sha256)
    with staged(place, {name: artifacts.files[name] for name in missing}):
        place.bucket.write_if_absent(place.keys.config, artifacts.config.encode())
        check_config(place, artifacts.config)
        for name in missing:
            _publish_file(place, name, artifacts)
    log.info("published %s", place.uri)
    return place.uri


def check_claim(place: Publication, model_sha256: str) -> None:
    """Raises StepError unless the version is claimed by this owner, for these bytes."""
    claim = read_claim(place.bucket, place.keys, place.version)
    what = f"version {place.version} of {place.keys.model!r}"
    if claim is None:
        raise StepError(f"{what} is not claimed: run determine-version first")
    if claim.owner != place.owner:
        raise StepError(
            f"{what} is claimed by {claim.owner}, not by {place.owner}: run determine-version again"
        )
    if claim.model_sha256 != model_sha256:
        raise StepError(f"{what} is claimed for another model file: run determine-version again")


def check_config(place: Publication, config: str) -> None:
    """Raises StepError when the config.pbtxt that all versions of a model share has another signature."""
    found = place.bucket.read(place.keys.config)
    if found is None:
        return
    live = found[0].decode("utf-8", "replace")
    if not fits(live, config):
        raise StepError(
            f"version {place.version} does not fit the config.pbtxt of {place.keys.model!r}, which all its "
            f"versions share: it has {describe(config)}; they have {describe(live)}; "
            "deploy it under another model-name"
        )


@contextmanager
def staged(place: Publication, files: dict[str, LocalFile]) -> Iterator[None]:
    """Files uploaded to the staging folder and verified there; the folder is gone afterwards in any case."""
    try:
        for name, file in files.items():
            _stage(place, place.staging + name, file)
        yield
    finally:
        _discard(place)


def _stage(place: Publication, key: str, file: LocalFile) -> None:
    place.bucket.upload(file.path, key, file.sha256)
    info = place.bucket.head(key)
    if info is None or info.size != file.size:
        raise StepError(f"{key} has {info.size if info else 'no'} bytes after its upload, not {file.size}")
    stored = place.bucket.sha256(key)
    if stored != file.sha256:
        raise StepError(f"{key} has sha256 {stored} after its upload, not {file.sha256}")
    log.info("staged %s, %.2f MB, verified", key, file.size / MIB)


def _discard(place: Publication) -> None:
    try:
        place.bucket.delete_below(place.staging)
    except ArgosyError as error:
        # A leftover in staging harms nobody; the outcome of the step is what counts.
        log.warning("staging is not cleared: %s", error)


def _published(place: Publication, name: str, artifacts: Artifacts) -> bool:
    """Whether a file of the version is there already; the metadata of its first publication stays."""
    if name == METADATA_FILE:
        return place.bucket.head(place.target + name) is not None
    found = published_sha256(place.bucket, place.keys, place.version)
    if found not in (None, artifacts.model_sha256):
        raise StepError(immutable(place.keys, place.version, str(found), artifacts.model_sha256))
    return found is not None


def _publish_file(place: Publication, name: str, artifacts: Artifacts) -> None:
    key = place.target + name
    if not place.bucket.copy_if_absent(place.staging + name, key) and not _published(place, name, artifacts):
        raise StepError(
            f"{key} came and went while it was published: something else writes to the repository"
        )
    info = place.bucket.head(key)
    if name == MODEL_FILE and (info is None or info.size != artifacts.files[name].size):
        raise StepError(f"{key} has {info.size if info else 'no'} bytes, not {artifacts.files[name].size}")
