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

Keys are never overwritten, but by `replace`: S3's times have a resolution of one second, and Triton may
miss a change within it.  A run that was killed anywhere in between is finished by running it again.

A published version is replaced where a user insists, by `force-version` with `replace`:

1. nothing is replaced that MLflow's `live` or `previous` stand for, that config.pbtxt names for serving, or
   that has data files: they could not change at the same moment as the model;
2. the new model is staged as above, the old files are copied to
   staging/<model>/replaced-<version>/;
3. model.onnx changes in one call, on the condition that it is still the old one: a reader sees the old bytes
   or the new, never none, never a mixture;
4. metadata.json follows, and the copies of the old files are deleted.

The old bytes are kept until the new ones are in place.
Triton compares times of a whole second, so the new object is written in a later second than the old one.  All
of it happens under the serving lease: nothing is loaded meanwhile.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from argosy.components.deployment.model.artifacts import Artifacts, LocalFile
from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE, ModelKeys
from argosy.components.deployment.model.triton_config import describe, fits
from argosy.components.deployment.repository.versions import immutable, published_sha256, read_claim
from argosy.components.shared import lease
from argosy.components.shared.files import MIB, PART_BYTES, Fingerprint
from argosy.components.shared.lease import Lease
from argosy.components.shared.s3 import Bucket, ObjectInfo, Pending
from argosy.errors import StepError

log = logging.getLogger(__name__)

_SECONDS, _PATIENCE = 120.0, 300.0
_RESOLUTION = 2.0
_Standing = Callable[[], Mapping[int, str]]
"""Asks which versions must not change, and why."""


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
    _check_config(place, artifacts.config)
    found = published_sha256(place.bucket, place.keys, place.version)
    if found not in (None, artifacts.model_sha256):
        raise StepError(immutable(place.keys, place.version, str(found), artifacts.model_sha256))
    if found is None:
        _publish_model(place, artifacts)
    else:
        log.info("%s is published already, with the same model", place.uri)
    if not _metadata_fits(place, artifacts):
        _publish_metadata(place, artifacts)
    log.info("published %s", place.uri)
    return place.uri


def _publish_model(place: Publication, artifacts: Artifacts) -> None:
    _check_claim(place, artifacts.model_sha256)
    _clear_leftovers(place)
    with staged(place, artifacts.model_files) as files:
        place.bucket.write_if_absent(place.keys.config, artifacts.config.encode())
        _check_config(place, artifacts.config)
        for name, file in files.items():
            _publish_file(place, name, file, artifacts.files[name])


def _metadata_fits(place: Publication, artifacts: Artifacts) -> bool:
    """Whether metadata.json is there and speaks of this model; the one of a first publication stays."""
    found = place.bucket.read(place.target + METADATA_FILE)
    try:
        known = json.loads(found[0])["model"]["sha256"] if found else ""
    except (ValueError, KeyError, TypeError):
        known = ""
    return bool(known == artifacts.files[MODEL_FILE].printed.sha256)


def _publish_metadata(place: Publication, artifacts: Artifacts) -> None:
    """Put metadata.json beside its model, over one that speaks of another model, if any."""
    key, body = place.target + METADATA_FILE, artifacts.files[METADATA_FILE].path.read_bytes()
    if place.bucket.write_if_absent(key, body):
        return
    info = place.bucket.head(key)
    if info and not _metadata_fits(place, artifacts):
        log.warning("%s speaks of another model: written anew", key)
        place.bucket.write_if_unchanged(key, body, info.etag)


def _check_claim(place: Publication, model_sha256: str) -> None:
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


def _check_config(place: Publication, config: str) -> None:
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


def check_replaceable(standing: _Standing, version: int, model: str) -> None:
    """Raises StepError where something stands on the version: its bytes must not change."""
    why = standing().get(version)
    if why is not None:
        raise StepError(
            f"version {version} of {model!r} is not replaced: it is {why}; deploy the model as a new version"
        )


def replace(place: Publication, artifacts: Artifacts, standing: _Standing) -> str:
    """Publish a prepared version, in the place of another model where there is one.

    Returns:
        The address of the version's folder.

    Raises:
        StepError: something stands on the version, it is another deployment's, one of the models has data
            files, the version changed meanwhile, or S3 failed.
    """
    published = published_sha256(place.bucket, place.keys, place.version)
    if published is None or published == artifacts.model_sha256:
        uri = publish(place, artifacts)
    else:
        _check_config(place, artifacts.config)
        _check_claim(place, artifacts.model_sha256)
        _check_single_files(place, artifacts)
        check_replaceable(standing, place.version, place.keys.model)
        key = place.keys.lock("serving")
        with (
            staged(place, artifacts.model_files) as files,
            lease.held(place.bucket, key, place.owner, seconds=_SECONDS, patience=_PATIENCE) as held,
        ):
            check_replaceable(standing, place.version, place.keys.model)
            _replace(place, artifacts, files[MODEL_FILE], held)
        uri = place.uri
    place.bucket.delete_below(place.keys.replaced(place.version))
    return uri


def _replace(place: Publication, artifacts: Artifacts, model: Pending, held: Lease) -> None:
    key, printed = place.target + MODEL_FILE, artifacts.files[MODEL_FILE].printed
    old = _keep(place)
    time.sleep(max(0.0, _RESOLUTION - old.age))
    held.renew()
    model.take_the_place_of(old.etag)
    now = place.bucket.head(key)
    if now is None or now.sha256 != printed.sha256:
        raise StepError(f"{key} changed while it was replaced: something else writes there")
    _publish_metadata(place, artifacts)
    log.info("replaced %s: sha256 %s -> %s", place.uri, old.sha256[:12], printed.sha256[:12])


def _keep(place: Publication) -> ObjectInfo:
    """Copy the old files aside, unless a killed run did; what the old model is."""
    kept = place.keys.replaced(place.version)
    old, aside = place.bucket.head(place.target + MODEL_FILE), place.bucket.head(kept + MODEL_FILE)
    if old is None:
        raise StepError(
            f"{place.uri} vanished while it was replaced: something else writes to the repository"
        )
    if aside and (aside.size, aside.sha256) != (old.size, old.sha256):
        place.bucket.delete_below(kept)
    for name in (MODEL_FILE, METADATA_FILE):
        info = place.bucket.head(place.target + name)
        if info is not None:
            as_it_is = Fingerprint(info.size, info.sha256, PART_BYTES, ())
            place.bucket.copy_if_absent(place.target + name, kept + name, as_it_is)
    return old


def _check_single_files(place: Publication, artifacts: Artifacts) -> None:
    there = {key.removeprefix(place.target) for key in place.bucket.keys(place.target)}
    more = (there | set(artifacts.files)) - {MODEL_FILE, METADATA_FILE}
    if more:
        raise StepError(
            f"version {place.version} of {place.keys.model!r} is not replaced: {sorted(more)} cannot change "
            "at the same moment as the model; deploy the model as a new version"
        )
