"""`live` and `previous` of one model: read together, moved together as far as MLflow can."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argosy.components.deployment.aliases.history import Aliases
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.records import BY_HAND
from argosy.components.deployment.swap.sole import kept
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

LIVE, PREVIOUS = "live", "previous"
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
        return Aliases(str(aliases.get(LIVE, "")), str(aliases.get(PREVIOUS, "")))

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
            self._set(LIVE, to.live)
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
