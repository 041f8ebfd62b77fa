"""Bringing any replica to what MLflow's `live` says; one that is there already is left alone.

A pod that starts later, in EXPLICIT mode, serves nothing, and one that was out of reach during a deployment
or a rollback serves what was live before.

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
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from argosy.components.deployment.swap.replicas import answering, joined, ready_each
from argosy.components.deployment.swap.served_versions import registered, under_way
from argosy.components.deployment.swap.serving import (
    bring_each_into_service,
    config_names,
    published,
    sole,
)
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import ArgosyError, StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)


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
        log.info("nothing of %s is live: nothing is changed", place.model)
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
    log.info("%d replicas of %s brought to %s", len(changed), place.model, sorted(goal.versions))
    return Synced(goal.versions, changed)


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
    """Do it again and again, as a container beside Triton does; what fails is tried again the next time."""
    while True:
        try:
            once()
        except ArgosyError as error:
            log.error("not in sync, next try in %g s: %s", every, error)
        time.sleep(every)
