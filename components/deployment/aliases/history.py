"""Who made an MLflow version live, what was live before, and whether that was taken back.

MLflow moves one alias at a time and remembers nothing, so each version carries the history of its own moves
in one tag, written as a whole before and after the aliases move.  From it a second run finishes a first one
that was killed, and a rollback finds what exactly one workflow did.  The latest move that holds is shown in
tags of its own, for people and for the steps that ask which Triton version belongs to an alias.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from argosy.components.shared import registry
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

MOVES = "triton.moves"
TRITON_VERSION, DEPLOYED_AT, WORKFLOW = "triton.version", "triton.deployed_at", "triton.workflow"
TOOK_OVER_FROM, PREVIOUS_BEFORE = "triton.took_over_from", "triton.previous_before"
ROLLED_BACK_AT, ROLLED_BACK_BY = "triton.rolled_back_at", "triton.rolled_back_by"
ROLLED_BACK_BECAUSE = "triton.rolled_back_because"
_ROLLED_BACK = (ROLLED_BACK_AT, ROLLED_BACK_BY, ROLLED_BACK_BECAUSE)
# Older moves are forgotten: a tag has its limits, and nobody goes back further.
_KEPT = 20
_LONGEST_REASON = 1000

State = Literal["begun", "done", "undoing", "undone"]


@dataclass(frozen=True)
class Aliases:
    """The MLflow versions behind `live` and `previous`; "" where the alias is not set."""

    live: str
    previous: str

    def __str__(self) -> str:
        return f"live {self.live or 'none'}, previous {self.previous or 'none'}"


@dataclass(frozen=True)
class Move:
    """One deployment's wish to make an MLflow version live.

    Attributes:
        triton_version: under which number Triton serves it.
        workflow: who asked.
        took_over_from: the MLflow version that was live; the version itself where it was live already,
            under another number or by another workflow; "" where none was.
        previous_before: the MLflow version that was `previous`; "" where none was.
        at: when (ISO 8601, UTC).
        state: begun (noted, the aliases may have moved), done, undoing, undone.
        back_to: while undoing, where the aliases go.
    """

    triton_version: int
    workflow: str
    took_over_from: str
    previous_before: str
    at: str
    state: State = "begun"
    back_to: Aliases | None = None

    @property
    def holds(self) -> bool:
        """Whether nobody took it back."""
        return self.state in ("begun", "done")

    @property
    def before(self) -> Aliases:
        """The aliases as they were before it."""
        return Aliases(self.took_over_from, self.previous_before)

    def after(self, version: str) -> Aliases:
        """The aliases as it wants them, `version` being live."""
        own = self.took_over_from in ("", version)
        previous = self.previous_before if own else self.took_over_from
        return Aliases(version, "" if previous == version else previous)


History = tuple[Move, ...]


def now() -> str:
    """This moment, ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat()


def read_history(version: ModelVersion) -> History:
    """The moves that a version was read with, oldest first.

    Raises:
        StepError: the tag holds something else.
    """
    text = version.tags.get(MOVES, "[]")
    try:
        return tuple(_move(entry) for entry in json.loads(text))
    except (ValueError, TypeError) as error:
        raise StepError(
            f"tag {MOVES} of version {version.version} of model {version.name!r} cannot be read ({error}): "
            "delete the tag"
        ) from error


def write_history(client: MlflowClient, version: ModelVersion, history: Sequence[Move]) -> None:
    """Write the moves, as a whole; the version object is not changed.

    Raises:
        StepError: the version is gone, or MLflow failed.
    """
    text = json.dumps([asdict(move) for move in history[-_KEPT:]])
    registry.set_version_tags(client, version.name, version.version, {MOVES: text})


def with_state(history: History, index: int, state: State, back_to: Aliases | None = None) -> History:
    """The history with one move in another state."""
    changed = replace(history[index], state=state, back_to=back_to)
    return (*history[:index], changed, *history[index + 1 :])


def latest_holding(history: History) -> int | None:
    """The index of the latest move that nobody took back; None where there is none."""
    return next((i for i in reversed(range(len(history))) if history[i].holds), None)


def show_move(client: MlflowClient, version: ModelVersion, history: History) -> None:
    """Bring the tags that show the latest holding move up to date.

    Where none holds, the Triton version stays: the way back to it by hand is open.

    Raises:
        StepError: the version is gone, or MLflow failed.
    """
    at = latest_holding(history)
    if at is None:
        registry.delete_version_tags(client, version, (WORKFLOW, TOOK_OVER_FROM, PREVIOUS_BEFORE))
        return
    move = history[at]
    _write_changed(
        client,
        version,
        {
            TRITON_VERSION: str(move.triton_version),
            DEPLOYED_AT: move.at,
            WORKFLOW: move.workflow,
            TOOK_OVER_FROM: move.took_over_from,
            PREVIOUS_BEFORE: move.previous_before,
        },
    )


def note_rollback(client: MlflowClient, version: ModelVersion, by: str, reason: str) -> None:
    """Tell on the version that, when, by whom and why it was rolled back; the first telling stays.

    Raises:
        StepError: the version is gone, or MLflow failed.
    """
    if version.tags.get(ROLLED_BACK_BY) == by:
        return
    told = {ROLLED_BACK_AT: now(), ROLLED_BACK_BECAUSE: reason[:_LONGEST_REASON], ROLLED_BACK_BY: by}
    registry.set_version_tags(client, version.name, version.version, told)


def forget_rollback(client: MlflowClient, version: ModelVersion) -> None:
    """Remove what `note_rollback` wrote: the version is live again.

    Raises:
        StepError: the version is gone, or MLflow failed.
    """
    registry.delete_version_tags(client, version, _ROLLED_BACK)


def _move(entry: dict[str, object]) -> Move:
    back_to = entry.get("back_to")
    move = Move(**{**entry, "back_to": Aliases(**back_to) if isinstance(back_to, dict) else None})  # type: ignore[arg-type]
    if move.state not in ("begun", "done", "undoing", "undone"):
        raise ValueError(f"state {move.state!r} is unknown")
    return move


def _write_changed(client: MlflowClient, version: ModelVersion, tags: Mapping[str, str]) -> None:
    changed = {key: value for key, value in tags.items() if version.tags.get(key) != value}
    registry.set_version_tags(client, version.name, version.version, changed)
