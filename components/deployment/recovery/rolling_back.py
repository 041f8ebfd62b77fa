"""Undoing a workflow's deployment that failed: what an exit handler does.

| order | why |
| --- | --- |
| 1. what did this workflow do? | its claims in S3 and its moves in MLflow tell; often it did nothing |
| 2. the aliases go back | they say what is to be served, to this step and to every other one |
| 3. the record and tags tell why | before Triton, which may be what broke |
| 4. Triton serves what is live, without what failed | it loads before it unloads |

A run that was killed is finished by the next one.  Where Triton or S3 fails, the aliases are back already,
and the error says what remains to be done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from argosy.components.deployment.aliases.history import Aliases, note_rollback, read_history
from argosy.components.deployment.aliases.table import held_aliases
from argosy.components.deployment.aliases.undo import undo
from argosy.components.deployment.comparison.candidate import clear_candidate
from argosy.components.deployment.recovery.site import Outcome, Site
from argosy.components.deployment.repository.claims import read_claim, versions_of
from argosy.components.deployment.repository.records import read_record
from argosy.components.deployment.swap.replicas import answering, joined, ready_each
from argosy.components.deployment.swap.served_versions import Registered, registered
from argosy.components.deployment.swap.serving import config_names, published, sole
from argosy.components.shared import registry
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """A workflow's doings: Triton versions that it published, or moved aliases for, and MLflow versions."""

    triton_versions: frozenset[int]
    model_versions: frozenset[str]


def roll_back(site: Site, owner: str, reason: str) -> Outcome:
    """Undo what workflow `owner` did, and only that; a second run finishes the first.

    Raises:
        StepError: MLflow failed (then nothing or part of the aliases moved), or Triton or S3 did (then the
            aliases are back, and the message says what remains).
    """
    done = find_done(site, owner)
    if not done.triton_versions:
        log.info("workflow %s published nothing of %s: nothing to roll back", owner, site.place.model)
        known = registered(site.client, site.place.model)
        return Outcome(_live(site), known.live, "nothing-to-do")
    reason = _with_cause(site, done, owner, reason)
    with held_aliases(site.client, site.place.bucket, site.place.keys, owner) as table:
        undo(table, owner, reason)
        aliases = table.read()
    known = registered(site.client, site.place.model)
    failed = done.triton_versions - {known.live, known.previous}
    errors = [
        *_tried(lambda: _clear(site, done)),
        *_tried(lambda: _tell(site, done, owner, reason, aliases.live)),
        *_tried(lambda: _serve(site, owner, known, failed)),
    ]
    if errors:
        raise StepError(_remaining(site, known, aliases, failed, errors)) from errors[0]
    log.info("rolled back %s of %s: %s", sorted(done.triton_versions), site.place.model, aliases)
    return Outcome(aliases.live, known.live, "rolled-back")


def find_done(site: Site, owner: str) -> Done:
    """The doings of a workflow, from S3 and MLflow alone.

    Raises:
        StepError: S3 or MLflow failed.
    """
    bucket, keys = site.place.bucket, site.place.keys
    claimed = [version for version in versions_of(bucket, keys, owner) if published(site.place, version)]
    claims = [claim for version in claimed if (claim := read_claim(bucket, keys, version))]
    triton_versions, model_versions = set(claimed), {claim.model_version for claim in claims}
    for version in registry.all_versions(site.client, keys.model):
        moves = [move for move in read_history(version) if move.workflow == owner]
        triton_versions |= {move.triton_version for move in moves}
        model_versions |= {str(version.version) for _ in moves}
    return Done(frozenset(triton_versions), frozenset(model_versions))


def _live(site: Site) -> str:
    version = registry.version_by_alias(site.client, site.place.model, "live")
    return str(version.version) if version else ""


def _with_cause(site: Site, done: Done, owner: str, reason: str) -> str:
    """The reason, with what this workflow's failed verification said."""
    for version in sorted(done.triton_versions):
        try:
            found = read_record(site.place.bucket, site.place.keys, version).get("verification")
        except ArgosyError as error:
            log.warning("the record does not tell why: %s", error)
            continue
        if isinstance(found, dict) and (found.get("result"), found.get("workflow")) == ("failed", owner):
            return f"{reason}: {found.get('reason')}"
    return reason


def _tell(site: Site, done: Done, owner: str, reason: str, live: str) -> None:
    for number in done.model_versions:
        version = registry.find_version(site.client, site.place.model, number)
        if version is not None:
            note_rollback(site.client, version, owner, reason)
    for triton_version in sorted(done.triton_versions):
        site.record(triton_version, owner, reason, live)


def _clear(site: Site, done: Done) -> None:
    """Unload what a comparison that was killed left beside the live version."""
    for version in done.triton_versions:
        clear_candidate(site.place, version)


def _serve(site: Site, owner: str, known: Registered, failed: frozenset[int]) -> None:
    """Put back what Triton serves, unless it is as it was, which needs no load.

    A replica that does not answer keeps none of the others from it.
    """
    place, errors = answering(site.place, site.deadline)
    named = config_names(place)
    serving = [ready | named for ready in ready_each(place, site.deadline)]
    if not any(one & failed for one in serving) and all(known.live in (None, *one) for one in serving):
        log.info("Triton serves %s of %s, none of them failed", sorted(serving[0]), place.model)
    else:
        with sole(place, owner, site.deadline) as hold:
            # Asked again: while this step waited for the lease, another deployment may have gone live.
            there = replace(site, place=place)
            there.serve(hold, lambda: registered(site.client, place.model), failed, alone=True)
    if errors:
        raise joined(errors)


def _tried(call: Callable[[], None]) -> list[ArgosyError]:
    try:
        call()
    except ArgosyError as error:
        return [error]
    return []


def _remaining(
    site: Site, known: Registered, aliases: Aliases, failed: frozenset[int], errors: list[ArgosyError]
) -> str:
    model = site.place.model
    served = f"version {known.live}" if known.live is not None else "nothing"
    return (
        f"the aliases of {model!r} are back ({aliases}); what remains is that Triton serves {served} without "
        f"{', '.join(map(str, sorted(failed))) or 'any other'}, and that the record says why: run the step "
        f"again ({'; '.join(map(str, errors))})"
    )
