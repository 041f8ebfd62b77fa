"""Going back: by hand to an older version, or to how it was before a workflow that failed.

By hand, Triton serves the older version before the aliases move: loaded, ready, and with one inference
answered.  So clients get an answer at every moment, and a run that fails or is killed before the end leaves
`live` where it was.

An exit handler undoes its workflow's deployment in another order:

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
import re
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from argosy.components.deployment.aliases.history import (
    Aliases,
    latest_holding,
    note_rollback,
    now,
    read_history,
)
from argosy.components.deployment.aliases.moves import PREVIOUS, go_live, held_aliases, undo
from argosy.components.deployment.comparison.candidate import clear_candidate
from argosy.components.deployment.model.layout import version_number
from argosy.components.deployment.repository.published_model import read_metadata
from argosy.components.deployment.repository.versions import (
    amend_record,
    read_claim,
    read_record,
    versions_of,
)
from argosy.components.deployment.swap.served_versions import TRITON_VERSION, Registered, Serving, registered
from argosy.components.deployment.swap.serving import (
    answering,
    bring_each_into_service,
    bring_into_service,
    config_names,
    joined,
    published,
    ready_each,
    serve_exactly,
)
from argosy.components.deployment.swap.sole import Hold, Place, sole
from argosy.components.shared import registry
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import ArgosyError, StepError, UsageError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_LONGEST_REASON = 1000
_TO = re.compile(r"previous|version:(?P<version>[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class Outcome:
    """How a rollback ended.

    Attributes:
        live: the MLflow version that is live now; "" where none is.
        triton_version: its number in Triton; None where none is live.
        result: whether anything was taken back.
    """

    live: str
    triton_version: int | None
    result: Literal["rolled-back", "nothing-to-do"]


@dataclass(frozen=True)
class Site:
    """One model: its registry, its repository and its server; everything is to be done by `deadline`."""

    client: MlflowClient
    place: Place
    deadline: Deadline

    def serve(
        self, hold: Hold, ask: Callable[[], Registered], without: Collection[int], alone: bool = False
    ) -> None:
        """Make Triton serve what is to be live and what belongs beside it, but none of `without`.

        Requests that name no version go to the highest one that serves, so a `previous` above `live` is not
        served: the rollback would not reach those clients.  Triton loads before it unloads.

        Args:
            hold: the serving lease of the model.
            ask: tells what is to be live and previous; asked when it is known what serves (see `Serving`).
            without: versions that must not serve.
            alone: each replica by itself, whatever becomes of the others; else all or none.

        Raises:
            StepError: Triton, S3 or MLflow failed, or the lease was lost; what was served goes on being
                served.
        """
        serving, known = Serving.look(self.place, self.deadline), ask()
        asked = max(without, default=0) if known.live is None else known.live
        beside = serving.beside(asked, known).difference(without)
        if known.live is None:
            serve_exactly(hold, beside - {asked}, self.deadline)
            return
        above = known.previous is not None and known.previous > known.live
        beside -= {known.previous} if above and known.previous is not None else set()
        bring = bring_each_into_service if alone else bring_into_service
        bring(hold, known.live, beside, self.deadline)

    def record(self, version: int, who: str, reason: str, to: str) -> None:
        """Note in a version's record that it was rolled back.

        Args:
            version: the one in Triton that was taken back.
            who: the workflow that did it.
            reason: why.
            to: the MLflow version that is live instead; "" where none is.

        Raises:
            StepError: S3 failed.
        """
        block: dict[str, Any] = {"at": now(), "reason": reason[:_LONGEST_REASON], "workflow": who, "to": to}
        amend_record(self.place.bucket, self.place.keys, version, rollback=block)


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
        live = _live_version(site)
        if live is not None and str(live.version) == version and not _asked(live, request):
            return Outcome(version, number, "nothing-to-do")
        with held_aliases(site.client, site.place.bucket, site.place.keys, request) as table:
            hold.renew()
            aliases = go_live(table, version, number, request)
    if aliases.live != version:
        raise StepError(f"another deployment of {site.place.model!r} went live meanwhile: {aliases}")
    _tell_left(site, version, request, reason)
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
    before, live = registered(site.client, site.place.model), _live_version(site)
    stays = live is not None and str(live.version) == version
    return Registered(number, before.previous if stays else before.live)


def _live_version(site: Site) -> ModelVersion | None:
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


def _tell_left(site: Site, to: str, request: str, reason: str) -> None:
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
    done = _find_done(site, owner)
    if not done.triton_versions:
        log.info("workflow %s published nothing of %s: nothing to roll back", owner, site.place.model)
        known = registered(site.client, site.place.model)
        return Outcome(_live_number(site), known.live, "nothing-to-do")
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


def _find_done(site: Site, owner: str) -> Done:
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


def _live_number(site: Site) -> str:
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
