"""Publishing a version: all or nothing to everyone who reads the repository.

S3 has no rename, and Triton takes a folder for a version as soon as one key is below it.  So:

1. the model is staged: sent in parts as multipart uploads, each part checked by S3.  A staged file has no
   key, so it lies outside of everything that Triton reads, whatever it lists;
2. config.pbtxt is written if the model has none;
3. model.onnx appears with one call, as one whole object, only if the version has none: with it the version's
   folder comes into being, complete from its first moment;
4. metadata.json, which Triton does not read, follows in one call.

A model that does not fit into one file (above 2 GiB) has its data files appear before step 3.  Until then its
folder is there and no version: whoever reads the repository asks for model.onnx.  Measured on Triton 2.51
with a folder that held a data file alone: a load whose policy names other versions succeeds and ignores it;
only a policy that includes it fails (`File doesn't exist`), while what served goes on serving.  Deployments
name the versions, in the load and in config.pbtxt, and never one that is not complete.

Keys are never overwritten, but by `replacing`: S3's times have a resolution of one second, and Triton may
miss a change within it.  A run that was killed anywhere in between is finished by running it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from argosy.components.deployment.model.artifacts import Artifacts, LocalFile
from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE, ModelKeys
from argosy.components.deployment.model.triton_config import describe, fits
from argosy.components.deployment.repository.claims import read_claim
from argosy.components.deployment.repository.published import immutable, published_sha256
from argosy.components.shared.fingerprint import MIB
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.s3_transfer import Pending
from argosy.errors import StepError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publication:
    """One deployment's right and place to publish a version."""

    bucket: Bucket
    keys: ModelKeys
    version: int
    owner: str

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
    found = published_sha256(place.bucket, place.keys, place.version)
    if found not in (None, artifacts.model_sha256):
        raise StepError(immutable(place.keys, place.version, str(found), artifacts.model_sha256))
    if found is None:
        _publish_model(place, artifacts)
    else:
        log.info("%s is published already, with the same model", place.uri)
    if not metadata_fits(place, artifacts):
        publish_metadata(place, artifacts)
    log.info("published %s", place.uri)
    return place.uri


def _publish_model(place: Publication, artifacts: Artifacts) -> None:
    check_claim(place, artifacts.model_sha256)
    _clear_leftovers(place)
    with staged(place, artifacts.model_files) as files:
        place.bucket.write_if_absent(place.keys.config, artifacts.config.encode())
        check_config(place, artifacts.config)
        for name, file in files.items():
            _publish_file(place, name, file, artifacts.files[name])


def metadata_fits(place: Publication, artifacts: Artifacts) -> bool:
    """Whether metadata.json is there and speaks of this model; the one of a first publication stays."""
    found = place.bucket.read(place.target + METADATA_FILE)
    try:
        known = json.loads(found[0])["model"]["sha256"] if found else ""
    except (ValueError, KeyError, TypeError):
        known = ""
    return bool(known == artifacts.files[MODEL_FILE].printed.sha256)


def publish_metadata(place: Publication, artifacts: Artifacts) -> None:
    """Put metadata.json beside its model, over one that speaks of another model, if any."""
    key, body = place.target + METADATA_FILE, artifacts.files[METADATA_FILE].path.read_bytes()
    if place.bucket.write_if_absent(key, body):
        return
    info = place.bucket.head(key)
    if info and not metadata_fits(place, artifacts):
        log.warning("%s speaks of another model: written anew", key)
        place.bucket.write_if_unchanged(key, body, info.etag)


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
def staged(place: Publication, files: Mapping[str, LocalFile]) -> Iterator[dict[str, Pending]]:
    """Files on the server, verified, that do not appear yet; those that never do are gone afterwards."""
    with ExitStack() as uploads:
        found = {}
        for name, file in files.items():
            found[name] = uploads.enter_context(
                place.bucket.stage(file.path, place.target + name, file.printed)
            )
            log.info("staged %s, %.2f MB", place.target + name, file.printed.size / MIB)
        yield found


def _clear_leftovers(place: Publication) -> None:
    """Remove what a killed run left in a version that is not complete: it may be of other bytes."""
    left = list(place.bucket.keys(place.target))
    if place.target + MODEL_FILE in left:
        return  # this very moment an earlier run of the step came to its end: the copy will find it there
    for key in left:
        log.warning("%s was left by a run that did not end: removed", key)
        place.bucket.delete(key)


def _publish_file(place: Publication, name: str, staged: Pending, file: LocalFile) -> None:
    key = place.target + name
    staged.appear()
    # Asked whatever that said: the answer to a completion that arrived may have been lost.
    info = place.bucket.head(key)
    if info is None or (info.size, info.sha256) != (file.printed.size, file.printed.sha256):
        raise StepError(
            f"{key} is not what was published ({info or 'nothing is there'}): something else writes to the "
            "repository"
        )
