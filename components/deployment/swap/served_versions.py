"""Which versions Triton is to serve: beside a new one, again at a retry, and on replicas that fell behind.

Beside a new version:

| version | why it stays, or comes back |
| --- | --- |
| live's | clients use it until the new one is verified |
| previous' | a rollback is instant |
| one that serves, claimed less than an hour ago, and its end not on the record | it is about to be verified |

Nothing else: not a version that is published and did not answer yet, nor one that a failed deployment left.
"Serves" means that Triton says so, or that config.pbtxt names it: Triton may just have been restarted.

A workflow that was rolled back may be retried, which runs only the steps that failed.
The load had succeeded, so nobody would do it again; the step that runs again sees in the version's record
that its own workflow was rolled back, and makes up for it.

A pod that starts later, in EXPLICIT mode, serves nothing, and one that was out of reach during a deployment
or a rollback serves what was live before.  `sync` brings such a replica to what MLflow's `live` says, and
leaves alone one that is there already:

| a version | is served by every replica |
| --- | --- |
| live's | always |
| another that config.pbtxt names, below live's | yes: the deployment that loaded it had a reason |
| one above live's that config.pbtxt names | only while it is being deployed: it takes the requests |
| any other | no |

config.pbtxt is what deployments and rollbacks write under the serving lease, once Triton serves it.  The
versions that a replica happens to serve count for nothing.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from argosy.components.deployment.model.layout import version_number
from argosy.components.deployment.repository.versions import IN_FLIGHT_SECONDS, is_over, read_claim
from argosy.components.deployment.swap.serving import (
    answering,
    bring_each_into_service,
    bring_into_service,
    config_names,
    joined,
    published,
    ready_each,
    ready_everywhere,
    serving_now,
)
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.shared import registry
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import ArgosyError, StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

TRITON_VERSION = "triton.version"
__all__ = ["Place", "served_again"]
_SECONDS = 300.0


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


@dataclass(frozen=True)
class Wanted:
    """The versions that every replica is to serve; nobody's to change where nothing is live."""

    live: int | None
    versions: frozenset[int]


@dataclass(frozen=True)
class Synced:
    """The versions that each replica serves now, if it answers, and the addresses of those changed."""

    versions: frozenset[int]
    changed: tuple[str, ...]


def wanted(client: MlflowClient, place: Place) -> Wanted:
    """The versions that every replica is to serve, by the table above.

    Raises:
        StepError: MLflow or S3 failed, or the live version is not in the repository.
    """
    # Before the registry is asked: see `Serving`.
    named = config_names(place)
    flying = under_way(place, named)
    known = registered(client, place.model)
    live = known.live
    if live is None:
        return Wanted(None, frozenset())
    if not published(place, live):
        raise StepError(
            f"version {live} of {place.model!r} is live and not in {place.bucket}: deploy it again"
        )
    # A config.pbtxt that somebody wrote by hand may name none.
    others = named or {known.previous or live}
    kept = {v for v in others if (v < live or v in flying) and published(place, v)}
    return Wanted(live, frozenset({live, *kept}))


def sync(client: MlflowClient, place: Place, owner: str, deadline: Deadline) -> Synced:
    """Bring every replica to what is live; each by itself, whatever becomes of the others.

    Raises:
        StepError: a replica does not answer or refused the load, which the message names, after all others
            were brought there; or MLflow or S3 failed.
    """
    there, errors = answering(place, deadline)
    goal = wanted(client, place)
    if goal.live is None:
        _tell_of_nothing(client, place.model)
    changed: tuple[str, ...] = ()
    if goal.live is not None and _apart(there, goal, deadline) is not None:
        with sole(place, owner, deadline) as hold:
            # Asked again: a deployment may have gone on meanwhile.
            goal = wanted(client, place)
            apart = _apart(there, goal, deadline)
            if goal.live is not None and apart is not None:
                bring_each_into_service(
                    hold.at(apart.replicas), goal.live, goal.versions - {goal.live}, deadline
                )
                changed = tuple(triton.url for triton in apart.replicas)
    if errors:
        raise joined(errors)
    if goal.live is not None:
        log.info("%d replicas of %s brought to %s", len(changed), place.model, sorted(goal.versions))
    return Synced(goal.versions, changed)


def _tell_of_nothing(client: MlflowClient, model: str) -> None:
    """Say that nothing is live: of a model that nobody registered as a warning, it may be a wrong name."""
    if registry.find_model(client, model) is None:
        log.warning("MLflow has no registered model %r: nothing is changed", model)
    else:
        log.info("nothing of %s is live: nothing is changed", model)


def _apart(place: Place, goal: Wanted, deadline: Deadline) -> Place | None:
    """The replicas that serve something else; all where config.pbtxt, which restarts follow, names it.

    None where everything is as it should be.
    """
    if config_names(place) != goal.versions:
        return place
    ready = ready_each(place, deadline)
    apart = [one for one, serving in zip(place.replicas, ready, strict=True) if serving != goal.versions]
    return place.at(apart) if apart else None


def keep_in_sync(once: Callable[[], object], every: float) -> NoReturn:
    """Do it again and again, as a container beside Triton does; what fails is tried again the next time.

    It ends at SIGTERM.  The first process of a container gets that only if it has asked for it: the pod would
    be there until its grace period is over.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    while True:
        try:
            once()
        except ArgosyError as error:
            log.error("not in sync, next try in %g s: %s", every, error)
        time.sleep(every)
