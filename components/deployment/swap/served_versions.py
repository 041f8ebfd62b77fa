"""Which versions Triton is to serve beside a new one.

| version | why it stays, or comes back |
| --- | --- |
| live's | clients use it until the new one is verified |
| previous' | a rollback is instant |
| one that serves, claimed less than an hour ago, and its end not on the record | it is about to be verified |

Nothing else: not a version that is published and did not answer yet, nor one that a failed deployment left.
"Serves" means that Triton says so, or that config.pbtxt names it: Triton may just have been restarted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argosy.components.deployment.model.layout import version_number
from argosy.components.deployment.repository.claims import IN_FLIGHT_SECONDS, read_claim
from argosy.components.deployment.repository.records import is_over
from argosy.components.deployment.swap.serving import config_names, published, serving_now
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared import registry
from argosy.components.shared.triton_deadline import Deadline

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

TRITON_VERSION = "triton.version"


@dataclass(frozen=True)
class Registered:
    """The Triton versions behind MLflow's `live` and `previous`; None where there is none."""

    live: int | None
    previous: int | None


def registered(client: MlflowClient, name: str) -> Registered:
    """What the registry says of a model.

    Raises:
        StepError: MLflow failed.
    """
    return Registered(_tagged(client, name, "live"), _tagged(client, name, "previous"))


def versions_beside(place: Place, version: int, known: Registered, deadline: Deadline) -> frozenset[int]:
    """The versions to serve beside `version`, by the table above.

    Where the registry knows no live version, as before the first deployment, the highest one that serves
    counts as live: somebody may have put it into service by hand.

    Raises:
        StepError: Triton or S3 failed.
    """
    serving = (serving_now(place, deadline) | config_names(place)) - {version}
    live = known.live if known.live is not None else max(serving, default=None)
    wanted = {v for v in (live, known.previous) if v is not None and v != version}
    wanted |= {v for v in serving - wanted if _in_flight(place, v)}
    lost = sorted(v for v in wanted if not published(place, v))
    if lost:
        log.warning("%s of %s are gone from %s: Triton drops them", lost, place.model, place.bucket)
    return frozenset(wanted.difference(lost))


def _in_flight(place: Place, version: int) -> bool:
    stored = place.bucket.head(place.keys.claim(version))
    if stored is None or stored.age >= IN_FLIGHT_SECONDS:
        return False
    claim = read_claim(place.bucket, place.keys, version)
    return claim is not None and not is_over(place.bucket, place.keys, version, claim.owner)


def _tagged(client: MlflowClient, name: str, alias: str) -> int | None:
    found = registry.version_by_alias(client, name, alias)
    return None if found is None else version_number(found.tags.get(TRITON_VERSION, ""))
