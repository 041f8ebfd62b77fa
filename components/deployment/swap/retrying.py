"""A workflow that was rolled back and is retried: its later steps find Triton and the aliases as before it.

A retry runs only the steps that failed.  The load had succeeded, so nobody would do it again; the step that
runs again sees in the version's record that its own workflow was rolled back, and makes up for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from argosy.components.deployment.swap.readiness import ready_versions
from argosy.components.deployment.swap.served_versions import registered, versions_beside
from argosy.components.deployment.swap.serving import bring_into_service, config_names
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.shared.triton_deadline import Deadline, patiently

__all__ = ["Place", "serve_again"]

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_SECONDS = 300.0


def serve_again(client: MlflowClient, place: Place, version: int, step: str) -> None:
    """Bring the version into service as its load did, unless it serves.

    Args:
        client: connected to the registry.
        place: the model and its server.
        version: the version in Triton.
        step: who does it, for the lease: another name than that of a step that may run at the same time.

    Raises:
        StepError: Triton, S3 or MLflow failed.
    """
    deadline = Deadline.after(_SECONDS)
    with sole(place, step, deadline) as hold:
        ready = patiently(deadline, lambda: ready_versions(place.triton.within(deadline.left), place.model))
        if version in ready & config_names(place):
            return
        log.info(
            "version %d of %s was rolled back: the retried workflow loads it again", version, place.model
        )
        beside = versions_beside(place, version, registered(client, place.model), deadline)
        bring_into_service(hold, version, beside, deadline)
