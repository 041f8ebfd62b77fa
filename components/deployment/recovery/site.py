"""The place that a rollback works on, and how it makes Triton serve what is live again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from argosy.components.deployment.aliases.history import now
from argosy.components.deployment.repository.records import amend_record
from argosy.components.deployment.swap.served_versions import Registered, Serving
from argosy.components.deployment.swap.serving import (
    bring_each_into_service,
    bring_into_service,
    serve_exactly,
)
from argosy.components.deployment.swap.sole import Hold, Place
from argosy.components.shared.triton_deadline import Deadline

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

LONGEST_REASON = 1000


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
        block: dict[str, Any] = {"at": now(), "reason": reason[:LONGEST_REASON], "workflow": who, "to": to}
        amend_record(self.place.bucket, self.place.keys, version, rollback=block)
