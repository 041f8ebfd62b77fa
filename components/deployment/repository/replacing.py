"""Replacing a published version, where a user insists: `force-version` with `replace`.

1. nothing is replaced that MLflow's `live` or `previous` stand for, that config.pbtxt names for serving, or
   that has data files: they could not change at the same moment as the model;
2. the new model is staged (see `publishing`), the old files are copied to
   staging/<model>/replaced-<version>/;
3. model.onnx changes in one call, on the condition that it is still the old one: a reader sees the old bytes
   or the new, never none, never a mixture;
4. metadata.json follows, and the copies of the old files are deleted.

A run that was killed is finished by running it again; the old bytes are kept until the new ones are in place.
Triton compares times of a whole second, so the new object is written in a later second than the old one.  All
of it happens under the serving lease: nothing is loaded meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from argosy.components.deployment.model.artifacts import Artifacts
from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE
from argosy.components.deployment.repository.published import published_sha256
from argosy.components.deployment.repository.publishing import (
    Publication,
    check_claim,
    check_config,
    publish,
    publish_metadata,
    staged,
)
from argosy.components.shared import lease
from argosy.components.shared.fingerprint import PART_BYTES, Fingerprint
from argosy.components.shared.lease import Lease
from argosy.components.shared.s3 import ObjectInfo
from argosy.components.shared.s3_transfer import Pending
from argosy.errors import StepError

log = logging.getLogger(__name__)

_SECONDS, _PATIENCE = 120.0, 300.0
_RESOLUTION = 2.0

Standing = Callable[[], Mapping[int, str]]
"""Asks which versions must not change, and why."""


def check_replaceable(standing: Standing, version: int, model: str) -> None:
    """Raises StepError where something stands on the version: its bytes must not change."""
    why = standing().get(version)
    if why is not None:
        raise StepError(
            f"version {version} of {model!r} is not replaced: it is {why}; deploy the model as a new version"
        )


def replace(place: Publication, artifacts: Artifacts, standing: Standing) -> str:
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
        check_config(place, artifacts.config)
        check_claim(place, artifacts.model_sha256)
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
    publish_metadata(place, artifacts)
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
