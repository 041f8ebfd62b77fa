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
from collections.abc import Collection
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
    """The registry's account of a model.

    Raises:
        StepError: MLflow failed.
    """
    return Registered(_tagged(client, name, "live"), _tagged(client, name, "previous"))


@dataclass(frozen=True)
class Serving:
    """The versions of a model that serve, and which of them deployments under way have put there.

    It is looked at before the registry is asked.  A deployment notes its end after its aliases moved, so one
    that ends in between is found under way here, or live there; the other way round it could be missed.
    """

    place: Place
    versions: frozenset[int]
    under_way: frozenset[int]

    @classmethod
    def look(cls, place: Place, deadline: Deadline) -> Serving:
        """As it is now.

        Raises:
            StepError: Triton or S3 failed.
        """
        versions = serving_now(place, deadline) | config_names(place)
        return cls(place, versions, under_way(place, versions))

    def beside(self, version: int, known: Registered) -> frozenset[int]:
        """The versions to serve beside `version`, by the table above.

        Where the registry knows no live version, as before the first deployment, the highest one that serves
        counts as live: somebody may have put it into service by hand.

        Raises:
            StepError: S3 failed.
        """
        place, others = self.place, self.versions - {version}
        live = known.live if known.live is not None else max(others, default=None)
        wanted = {v for v in (live, known.previous, *self.under_way) if v is not None and v != version}
        lost = sorted(v for v in wanted if not published(place, v))
        if lost:
            log.warning("%s of %s are gone from %s: Triton drops them", lost, place.model, place.bucket)
        return frozenset(wanted.difference(lost))


def under_way(place: Place, versions: Collection[int]) -> frozenset[int]:
    """Those of the versions whose deployment has not come to its end.

    Raises:
        StepError: S3 failed.
    """
    return frozenset(v for v in versions if _in_flight(place, v))


def versions_beside(place: Place, version: int, client: MlflowClient, deadline: Deadline) -> frozenset[int]:
    """The versions to serve beside `version`, by what serves and what the registry says.

    Raises:
        StepError: Triton, S3 or MLflow failed.
    """
    serving = Serving.look(place, deadline)
    return serving.beside(version, registered(client, place.model))


def _in_flight(place: Place, version: int) -> bool:
    stored = place.bucket.head(place.keys.claim(version))
    if stored is None or stored.age >= IN_FLIGHT_SECONDS:
        return False
    claim = read_claim(place.bucket, place.keys, version)
    return claim is not None and not is_over(place.bucket, place.keys, version, claim.owner)


def _tagged(client: MlflowClient, name: str, alias: str) -> int | None:
    found = registry.version_by_alias(client, name, alias)
    return None if found is None else version_number(found.tags.get(TRITON_VERSION, ""))
