"""Taking back what one workflow did to the aliases, and nothing else.

| meanwhile | `live` | `previous` |
| --- | --- | --- |
| nobody else went live | what it was before | what it was before |
| another went live | stays | stays; if it names the version that failed: what that took over from |

"What it was before" skips versions that were themselves taken back in the meantime.  The decision is noted
before the aliases move, so that a run that was killed in between is finished by the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argosy.components.deployment.aliases.history import (
    Aliases,
    History,
    Move,
    latest_holding,
    note_rollback,
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
