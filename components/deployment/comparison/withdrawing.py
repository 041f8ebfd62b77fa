"""A version that lost the comparison leaves what Triton reads; its record stays, and says why.

Triton fetches every version of a model at each load, so a version that nobody will serve costs each later
deployment its time.  The number is never given again; whoever wants the model deployed all the same deploys
it as a new version.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from argosy.components.deployment.comparison.candidate import clear_candidate
from argosy.components.deployment.repository.claims import mark_pruned
from argosy.components.deployment.repository.pruning import remove_version
from argosy.components.deployment.repository.records import read_record
from argosy.components.deployment.repository.standing import standing
from argosy.components.deployment.swap.sole import Place, kept
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_PATIENCE = 300.0


def withdraw(client: MlflowClient, place: Place, version: int, owner: str) -> str:
    """Remove the version whose comparison failed; a second run finishes the first.

    Returns:
        Why it stays; "" where it is gone.

    Raises:
        StepError: its record tells of no failed comparison, or S3, MLflow or Triton failed.
    """
    _check_failed(place, version)
    clear_candidate(place, version)
    with kept(place.bucket, place.keys.lock("serving"), owner, _PATIENCE):
        why = standing(client, place.bucket, place.keys).get(version, "")
        if not why and not mark_pruned(place.bucket, place.keys, version, min_age=0):
            why = "claimed by another deployment meanwhile"
        if why:
            log.warning("version %d of %s stays: it is %s", version, place.model, why)
            return why
        remove_version(place.bucket, place.keys, version)
    return ""


def _check_failed(place: Place, version: int) -> None:
    found = read_record(place.bucket, place.keys, version).get("comparison")
    result = found.get("result") if isinstance(found, dict) else None
    if result != "failed":
        raise StepError(
            f"version {version} of {place.model!r} is not withdrawn: {place.keys.record(version)} tells of "
            f"{'no comparison' if result is None else f'a comparison that {result}'}"
        )
