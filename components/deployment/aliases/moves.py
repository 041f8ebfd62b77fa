"""A deployment goes live: `live` moves to its version, `previous` to the one that was live.

The order of things is that in which deployments asked.  The wish is noted first (see `history`), then the
aliases move, then the note is closed.  A run that was killed in between is finished by the next one.  One
that was overtaken, because another deployment went live after it had asked, stays overtaken: running an
older deployment's step again does not push the newer version out.  To go back to it, roll back or deploy it
anew.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from argosy.components.deployment.aliases.history import (
    Aliases,
    History,
    Move,
    forget_rollback,
    latest_holding,
    now,
    read_history,
    show_move,
    with_state,
    write_history,
)
from argosy.components.deployment.aliases.table import AliasTable
from argosy.components.shared import registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)


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
