"""A workflow that was rolled back and is retried: its later steps find Triton and the aliases as before it.

A retry runs only the steps that failed.  The load had succeeded, so nobody would do it again; the step that
runs again sees in the version's record that its own workflow was rolled back, and makes up for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from argosy.components.deployment.swap.replicas import ready_everywhere
from argosy.components.deployment.swap.served_versions import versions_beside
from argosy.components.deployment.swap.serving import bring_into_service, config_names
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.shared.triton_deadline import Deadline

__all__ = ["Place", "served_again"]

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_SECONDS = 300.0


@contextmanager
def served_again(client: MlflowClient, place: Place, version: int, step: str) -> Iterator[None]:
    """Bring the version into service as its load did, unless it serves, and keep it so for the block.

    The aliases move in that block.  Its deployment counts as ended, so nothing else would keep another
    deployment from dropping the version before it is live.

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
        if version not in ready_everywhere(place, deadline) & config_names(place):
            log.info(
                "version %d of %s was rolled back: a retried workflow loads it again", version, place.model
            )
            beside = versions_beside(place, version, client, deadline)
            bring_into_service(hold, version, beside, deadline)
        yield
