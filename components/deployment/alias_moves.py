"""Moving `live` and `previous` together, though MLflow moves one alias at a time.

The new version first gets a tag that names the version it takes over from.  Then `live` moves, then
`previous`.  After a kill in between, the tag tells a second run what `previous` has to be; until then it is
the older rollback target, never lost and never the same as `live`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timezone

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry

log = logging.getLogger(__name__)

LIVE, PREVIOUS = "live", "previous"
TOOK_OVER_FROM = "triton.took_over_from"
TRITON_VERSION, DEPLOYED_AT = "triton.version", "triton.deployed_at"


@dataclass(frozen=True)
class Aliases:
    """The MLflow versions behind `live` and `previous`; "" where the alias is not set."""

    live: str
    previous: str


def go_live(client: MlflowClient, name: str, version: str, triton_version: int) -> Aliases:
    """Make `version` live and what was live before previous; a second run changes nothing.

    Raises:
        StepError: the version does not exist, or MLflow failed.
    """
    new = registry.get_version(client, name, version)
    _tag_deployment(client, new, triton_version)
    before = _read(client, name)
    if before.live != version:
        _take_over(client, name, version, before)
        predecessor = before.live
    else:
        predecessor = new.tags.get(TOOK_OVER_FROM, "")
    if predecessor and before.previous != predecessor:
        registry.set_alias(client, name, PREVIOUS, predecessor)
    after = _read(client, name)
    log.info("%s: live %s -> %s, previous %s -> %s", name, *_moves(before, after))
    return after


def _take_over(client: MlflowClient, name: str, version: str, before: Aliases) -> None:
    """Note who is taken over from, then move `live`; `previous` is cleared where it would become the same."""
    registry.set_version_tags(client, name, version, {TOOK_OVER_FROM: before.live})
    if before.previous == version:
        with registry.mlflow_errors(f"clear alias {PREVIOUS!r} of model {name!r}"):
            client.delete_registered_model_alias(name, PREVIOUS)
    registry.set_alias(client, name, LIVE, version)


def _tag_deployment(client: MlflowClient, version: ModelVersion, triton_version: int) -> None:
    """Note under which Triton version it is served; the time is that of the first note."""
    if version.tags.get(TRITON_VERSION) == str(triton_version) and DEPLOYED_AT in version.tags:
        return
    now = datetime.now(timezone.utc).isoformat()
    tags = {TRITON_VERSION: triton_version, DEPLOYED_AT: now}
    registry.set_version_tags(client, version.name, version.version, tags)


def _read(client: MlflowClient, name: str) -> Aliases:
    model = registry.find_model(client, name)
    aliases = model.aliases if model else {}
    return Aliases(str(aliases.get(LIVE, "")), str(aliases.get(PREVIOUS, "")))


def _moves(before: Aliases, after: Aliases) -> tuple[str, str, str, str]:
    return before.live or "none", after.live, before.previous or "none", after.previous or "none"
