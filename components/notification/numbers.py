"""MLflow's numbers of one workflow's model: the gates', and the version that is live because of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from argosy.components.deployment.aliases.history import read_history
from argosy.components.notification.delivery import within
from argosy.components.notification.message import Message
from argosy.components.shared import registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

WORKFLOW_UID = "workflow_uid"  # tag of a training's run
TRAINED_BY = "pytorch.run_id"  # tag of an ONNX model's version
ONNX = "-onnx"
_GATE_1 = ("gate1.result", "gate1.reason")
_GATE_2 = ("validation_max_diff", "validation_mean_diff", "validation_onnx_speedup")
_RECENT = 20  # versions among which this workflow's is looked for


def ask(message: Message, tracking_uri: str, model: str, owner: str, patience: float) -> Message:
    """The message with what MLflow knows; what it does not tell within `patience` seconds is a note.

    Args:
        message: so far without numbers.
        tracking_uri: the MLflow server.
        model: the served model.
        owner: the workflow's uid.
        patience: seconds.
    """
    found: list[Message] = []
    failures: list[str] = []

    def look() -> None:
        try:
            found.append(_told(message, tracking_uri, model, owner))
        except Exception as error:  # whatever it is, the message is sent
            failures.append((str(error).splitlines() or [type(error).__name__])[0])

    within(patience, look)
    if found:
        return found[0]
    note = f"MLflow could not be asked: {[*failures, f'it did not answer within {patience:g} s'][0]}"
    log.warning("%s", note)
    return replace(message, notes=(*message.notes, note))


@dataclass(frozen=True)
class _Work:
    """The doings of one workflow."""

    candidate: ModelVersion | None
    served: ModelVersion | None


def _told(message: Message, tracking_uri: str, model: str, owner: str) -> Message:
    client = registry.connect_lightly(tracking_uri)
    work = _work(client, model, owner)
    gates = {"gate 1": _gate_1(client, work.candidate), "gate 2": _gate_2(client, work.served)}
    known = {gate: found for gate, found in gates.items() if found}
    return replace(message, gates=known, versions=_versions(client, model, owner, work.served))


def _work(client: MlflowClient, model: str, owner: str) -> _Work:
    candidate = next(
        (
            version
            for version in reversed(registry.all_versions(client, model.removesuffix(ONNX))[-_RECENT:])
            if version.run_id
            and registry.get_run(client, version.run_id).data.tags.get(WORKFLOW_UID) == owner
        ),
        None,
    )
    trained_by = candidate.run_id if candidate is not None else None
    served = [
        version
        for version in registry.all_versions(client, model)
        if any(move.workflow == owner for move in read_history(version))
        or (trained_by and version.tags.get(TRAINED_BY) == trained_by)
    ]
    return _Work(candidate, served[-1] if served else None)


def _gate_1(client: MlflowClient, candidate: ModelVersion | None) -> dict[str, Any]:
    if candidate is None or candidate.run_id is None:
        return {}
    found: dict[str, Any] = {
        name.removeprefix("gate1."): candidate.tags[name] for name in _GATE_1 if name in candidate.tags
    }
    metrics = registry.get_run(client, candidate.run_id).data.metrics
    return found | _chosen(metrics, ("best_val_accuracy",))


def _gate_2(client: MlflowClient, served: ModelVersion | None) -> dict[str, Any]:
    if served is None or not served.run_id:
        return {}
    found = {"result": served.tags["gate2.result"]} if "gate2.result" in served.tags else {}
    return found | _chosen(registry.get_run(client, served.run_id).data.metrics, _GATE_2)


def _chosen(metrics: Mapping[str, float], names: tuple[str, ...]) -> dict[str, Any]:
    return {name.removeprefix("validation_"): metrics[name] for name in names if name in metrics}


def _versions(client: MlflowClient, model: str, owner: str, served: ModelVersion | None) -> dict[str, str]:
    """The aliases before this workflow and now; nothing where it moved none."""
    moves = [] if served is None else [move for move in read_history(served) if move.workflow == owner]
    if not moves:
        return {}
    found = registry.find_model(client, model)
    aliases = {} if found is None else found.aliases
    return {
        "live_before": moves[-1].took_over_from,
        "live": str(aliases.get("live", "")),
        "previous": str(aliases.get("previous", "")),
        "triton_version": str(moves[-1].triton_version),
    }
