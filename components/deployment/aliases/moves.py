"""`live` and `previous` of one model: read together, moved by a deployment, taken back by a rollback.

A deployment goes live in the order in which deployments asked.  The wish is noted first (see `history`), then
the aliases move, then the note is closed.  A run that was killed in between is finished by the next one.  One
that was overtaken, because another deployment went live after it had asked, stays overtaken: running an older
deployment's step again does not push the newer version out.  To go back to it, roll back or deploy it anew.

A rollback takes back what one workflow did to the aliases, and nothing else:

| meanwhile | `live` | `previous` |
| --- | --- | --- |
| nobody else went live | what it was before | what it was before |
| another went live | stays | stays; if it names the version that failed: what that took over from |

"What it was before" skips versions that were themselves taken back in the meantime.  This decision, too, is
noted before the aliases move.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argosy.components.deployment.aliases.history import (
    Aliases,
    History,
    Move,
    forget_rollback,
    latest_holding,
    note_rollback,
    now,
    read_history,
    show_move,
    with_state,
    write_history,
)
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.versions import BY_HAND
from argosy.components.deployment.swap.sole import kept
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_LIVE, PREVIOUS = "live", "previous"
# Moving aliases takes a fraction of a second; a step whose MLflow hangs gives up after two minutes a call.
_PATIENCE = 300.0


def _unguarded() -> None:
    """Nobody else moves these aliases."""


@dataclass(frozen=True)
class AliasTable:
    """The aliases of one model.

    Attributes:
        client: connected to the registry.
        model: the model's name.
        before_each_write: raises where this process may no longer move them.
    """

    client: MlflowClient
    model: str
    before_each_write: Callable[[], None] = _unguarded

    def read(self) -> Aliases:
        """Where they point; nowhere for a model that does not exist.

        Raises:
            StepError: MLflow failed.
        """
        model = registry.find_model(self.client, self.model)
        aliases = model.aliases if model else {}
        return Aliases(str(aliases.get(_LIVE, "")), str(aliases.get(PREVIOUS, "")))

    def point(self, to: Aliases) -> None:
        """Make them point as `to` says; at no moment do both point to the same version.

        `live` moves first, in one call, so that there is always one.

        Raises:
            StepError: a version does not exist, MLflow failed, or another may move them now.
        """
        at = self.read()
        if at.previous and at.previous == to.live:
            self._set(PREVIOUS, "")
            at = Aliases(at.live, "")
        if at.live != to.live:
            self._set(_LIVE, to.live)
        if at.previous != to.previous:
            self._set(PREVIOUS, to.previous)

    def _set(self, alias: str, version: str) -> None:
        self.before_each_write()
        if version:
            registry.set_alias(self.client, self.model, alias, version)
        else:
            registry.delete_alias(self.client, self.model, alias)


@contextmanager
def held_aliases(client: MlflowClient, bucket: Bucket, keys: ModelKeys, owner: str) -> Iterator[AliasTable]:
    """The model's aliases, while no other step may move them.

    Raises:
        StepError: others hold them for too long, or S3 failed.
    """
    with kept(bucket, keys.lock("aliases"), owner, _PATIENCE) as held:
        yield AliasTable(client, keys.model, held.renew)


def own_name(owner: str) -> str:
    """`owner`, or for a step that runs by hand a name that nobody else has."""
    return owner or f"{BY_HAND}{uuid.uuid4().hex[:12]}"


def go_live(table: AliasTable, version: str, triton_version: int, owner: str) -> Aliases:
    """Make `version` live and what was live before previous; a second run of `owner` changes nothing.

    Returns:
        The aliases as they are afterwards: a newer deployment's where this one was overtaken.

    Raises:
        StepError: the version does not exist, MLflow failed, or another may move the aliases now.
    """
    found = registry.get_version(table.client, table.model, version)
    before = table.read()
    history, at = _noted(table, found, triton_version, owner, before)
    if _overtaken(history, at, version, before):
        log.warning("%s: another deployment went live after version %s: %s", table.model, version, before)
        return before
    show_move(table.client, found, history)
    forget_rollback(table.client, found)
    if history[at].state == "begun":
        table.point(history[at].after(version))
        write_history(table.client, found, with_state(history, at, "done"))
    after = table.read()
    log.info("%s: %s -> %s", table.model, before, after)
    return after


def _noted(
    table: AliasTable, version: ModelVersion, triton_version: int, owner: str, before: Aliases
) -> tuple[History, int]:
    """The version's history with this deployment's move in it, and the move's index."""
    history = read_history(version)
    for index in reversed(range(len(history))):
        move = history[index]
        if move.holds and (move.workflow, move.triton_version) == (owner, triton_version):
            return history, index
    history = (*history, Move(triton_version, owner, before.live, before.previous, now()))
    table.before_each_write()
    write_history(table.client, version, history)
    return history, len(history) - 1


def _overtaken(history: History, at: int, version: str, before: Aliases) -> bool:
    """Whether another deployment went live after this move was noted."""
    move = history[at]
    if at != latest_holding(history):
        return True
    mine = (version,) if move.state == "done" else (version, move.took_over_from)
    return before.live not in mine


@dataclass(frozen=True)
class Undone:
    """A version that a workflow had made live: in MLflow, and its number in Triton."""

    version: str
    triton_version: int


def undo(table: AliasTable, owner: str, reason: str) -> list[Undone]:
    """Take back every move of `owner`; a second run finishes the first, and then finds nothing left to move.

    Returns:
        The versions that `owner` had made live, or was about to, taken back now or before.

    Raises:
        StepError: MLflow failed, or another may move the aliases now.
    """
    found: dict[Undone, None] = {}
    for version in registry.all_versions(table.client, table.model):
        history = read_history(version)
        for index, move in enumerate(history):
            if move.workflow != owner:
                continue
            found[Undone(str(version.version), move.triton_version)] = None
            if move.state != "undone":
                history = _take_back(table, version, history, index)
                note_rollback(table.client, version, owner, reason)
    return list(found)


def _take_back(table: AliasTable, version: ModelVersion, history: History, index: int) -> History:
    """Take one move back; the history afterwards."""
    before = table.read()
    target = _target(table, version, history, index, before)
    history = with_state(history, index, "undoing", target)
    table.before_each_write()
    write_history(table.client, version, history)
    table.point(target)
    history = with_state(history, index, "undone", target)
    show_move(table.client, version, history)
    write_history(table.client, version, history)
    log.info("%s: version %s is taken back: %s -> %s", table.model, version.version, before, target)
    return history


def _target(table: AliasTable, version: ModelVersion, history: History, index: int, at: Aliases) -> Aliases:
    """Where the aliases have to point once the move is taken back."""
    move, name = history[index], str(version.version)
    if move.back_to and at.live in (name, move.back_to.live):
        return move.back_to
    rest = with_state(history, index, "undone")
    older = latest_holding(rest)
    # A version that was `previous` before is one to go back to, whatever its history has forgotten.
    stays = older is not None or move.previous_before == name
    if at.live == name and (older is None or older < index):
        if stays and move.took_over_from == name:
            return at
        return _before(table, move, {} if stays else {name: rest})
    if at.previous == name and not stays:
        before = _before(table, move, {name: rest})
        return Aliases(at.live, before.live if before.live != at.live else before.previous)
    if move.state == "begun" and at == Aliases(move.took_over_from, ""):
        # Killed after `previous` was cleared to make room, before `live` moved.
        return Aliases(at.live, _before(table, move, {}).previous)
    return at


def _before(table: AliasTable, move: Move, gone: Mapping[str, History]) -> Aliases:
    """The aliases before a move, without versions that cannot be returned to; `gone` are some of them."""
    live, previous = move.took_over_from, move.previous_before
    seen: set[str] = set()
    while live and live not in seen and (older := _instead_of(table, live, previous, gone)) is not None:
        seen.add(live)
        live, previous = older.live, older.previous
    seen = {live}
    while previous and previous not in seen and (older := _instead_of(table, previous, "", gone)) is not None:
        seen.add(previous)
        previous = older.live
    return Aliases("" if live in gone else live, "" if previous == live or previous in gone else previous)


def _instead_of(
    table: AliasTable, version: str, previous: str, gone: Mapping[str, History]
) -> Aliases | None:
    """None where a version can be returned to; else the aliases before it, `previous` where nobody knows."""
    history = gone.get(version)
    if history is None:
        found = registry.find_version(table.client, table.model, version)
        if found is None:
            return Aliases(previous, "")
        history = read_history(found)
        if not history or latest_holding(history) is not None:
            return None
    others = (move for move in reversed(history) if move.took_over_from != version)
    return next((move.before for move in others), Aliases(previous, ""))
