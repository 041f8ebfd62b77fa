"""Returning by hand to the previous version, or to a named one.

Triton serves the version before the aliases move: loaded, ready, and with one inference answered.  So clients
get an answer at every moment, and a run that fails or is killed before the end leaves `live` where it was.
"""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.components.deployment.aliases.history import latest_holding, note_rollback, read_history
from argosy.components.deployment.aliases.moves import go_live
from argosy.components.deployment.aliases.table import PREVIOUS, held_aliases
from argosy.components.deployment.model.layout import version_number
from argosy.components.deployment.recovery.site import Outcome, Site
from argosy.components.deployment.repository.published_model import read_metadata
from argosy.components.deployment.swap.served_versions import TRITON_VERSION, Registered, registered
from argosy.components.deployment.swap.serving import published, sole
from argosy.components.shared import registry
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

_TO = re.compile(r"previous|version:(?P<version>[1-9][0-9]{0,18})")


def check_to(to: str) -> str:
    """`to`, when it says where to go back to.

    Raises:
        UsageError: it is neither "previous" nor "version:NUMBER".
    """
    if not _TO.fullmatch(to):
        raise UsageError(f"to {to[:200]!r} is neither 'previous' nor 'version:NUMBER', a version in MLflow")
    return to


def go_back(site: Site, to: str, reason: str, request: str) -> Outcome:
    """Make an older version live, and the one that was live `previous`.

    Args:
        site: the model.
        to: "previous", or "version:NUMBER" for a version in MLflow.
        reason: why, for the record.
        request: who asks; a second run with the same name finishes the first, and does not go further back.

    Raises:
        StepError: there is nothing to go back to, it was never deployed or is no longer in S3, it does not
            answer (nothing has changed then), or MLflow or S3 failed.
    """
    target = _target(site, check_to(to), request)
    number = _number(site, target)
    version = str(target.version)
    # Held until the target is live, so that no deployment finds it to be nobody's and drops it before.
    with sole(site.place, request, site.deadline) as hold:
        site.serve(hold, lambda: _wanted(site, number, version), _newer(site, number))
        live = _live(site)
        if live is not None and str(live.version) == version and not _asked(live, request):
            return Outcome(version, number, "nothing-to-do")
        with held_aliases(site.client, site.place.bucket, site.place.keys, request) as table:
            hold.renew()
            aliases = go_live(table, version, number, request)
    if aliases.live != version:
        raise StepError(f"another deployment of {site.place.model!r} went live meanwhile: {aliases}")
    _tell(site, version, request, reason)
    return Outcome(version, number, "rolled-back")


def _target(site: Site, to: str, request: str) -> ModelVersion:
    """The MLflow version to go back to: the one that an earlier run of this request chose, if any."""
    name = site.place.model
    found = _TO.fullmatch(to)
    if found and found["version"]:
        return registry.get_version(site.client, name, found["version"])
    for version in registry.all_versions(site.client, name):
        if _asked(version, request):
            return version
    previous = registry.version_by_alias(site.client, name, PREVIOUS)
    if previous is None:
        raise StepError(f"{name!r} has no alias 'previous' to go back to: name a version, to=version:NUMBER")
    return previous


def _wanted(site: Site, number: int, version: str) -> Registered:
    """The versions that will be live and previous once an MLflow version is live as `number` in Triton."""
    before, live = registered(site.client, site.place.model), _live(site)
    stays = live is not None and str(live.version) == version
    return Registered(number, before.previous if stays else before.live)


def _live(site: Site) -> ModelVersion | None:
    return registry.version_by_alias(site.client, site.place.model, "live")


def _asked(version: ModelVersion, request: str) -> bool:
    """Whether the last that happened to a version is that this request made it live, or began to."""
    history = read_history(version)
    latest = latest_holding(history)
    return latest is not None and history[latest].workflow == request


def _newer(site: Site, number: int) -> set[int]:
    """The versions above `number` in Triton that were ever made live: clients would get them in its place.

    One above it that is just being deployed, and is not live yet, stays.
    """
    versions = registry.all_versions(site.client, site.place.model)
    return {m.triton_version for v in versions for m in read_history(v) if m.triton_version > number}


def _number(site: Site, target: ModelVersion) -> int:
    """The target's version in Triton, which must still be there, and still be the target's."""
    name, place = site.place.model, site.place
    again = f"deploy it again, with source=version:{target.version}"
    number = version_number(target.tags.get(TRITON_VERSION, ""))
    if number is None:
        raise StepError(f"version {target.version} of {name!r} was never deployed: {again}")
    if not published(place, number):
        raise StepError(
            f"version {target.version} of {name!r} was version {number} in Triton, which is no longer in "
            f"{place.bucket}: {again}"
        )
    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        origin = read_metadata(place.bucket, place.keys, number, Path(folder)).mlflow
    if origin.version != str(target.version):
        raise StepError(
            f"version {target.version} of {name!r} was version {number} in Triton, which now holds version "
            f"{origin.version}: {again}"
        )
    return number


def _tell(site: Site, to: str, request: str, reason: str) -> None:
    """Note on the version that was live, and in its record, that it was rolled back, and why."""
    history = read_history(registry.get_version(site.client, site.place.model, to))
    latest = latest_holding(history)
    left = history[latest].took_over_from if latest is not None else ""
    version = registry.find_version(site.client, site.place.model, left) if left else None
    if version is None:
        return
    note_rollback(site.client, version, request, reason)
    number = version_number(version.tags.get(TRITON_VERSION, ""))
    if number is not None:
        site.record(number, request, reason, to)
