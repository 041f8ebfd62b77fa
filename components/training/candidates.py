"""Candidates and champions in the model registry: registration, and the record of what Gate 1 decided.

The record lives in tags of the candidate's version, written in an order that makes a repeated or interrupted
promotion give the same answer: first what it is compared with, then the alias, and the answer last. A version
with an answer is not decided again, and its alias is not moved again: another champion may hold it by then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.gate import Decision, Thresholds
from argosy.components.training.registration import register_model_of_run
from argosy.errors import StepError

log = logging.getLogger(__name__)

CHAMPION = "champion"
METRIC = "best_val_accuracy"

_RESULT, _REASON = "gate1.result", "gate1.reason"
_CHAMPION_ACCURACY, _CHAMPION_VERSION = "gate1.champion_accuracy", "gate1.champion_version"
_MIN_ACCURACY, _MIN_IMPROVEMENT = "gate1.min_accuracy", "gate1.min_improvement"


@dataclass(frozen=True)
class Champion:
    """What a candidate is compared with: version and accuracy; both empty where there was no champion."""

    version: str
    accuracy: float | None


NO_CHAMPION = Champion("", None)


def register(client: MlflowClient, name: str, run_id: str, accuracy: float) -> ModelVersion:
    """The version of `name` that belongs to run `run_id`, registered now unless it was before.

    Raises:
        StepError: the run logged no model, or MLflow failed.
    """
    return register_model_of_run(client, name, run_id, {"run_id": run_id, METRIC: repr(accuracy)})


def current_champion(client: MlflowClient, name: str, candidate: ModelVersion) -> Champion:
    """What to compare `candidate` with: the version that holds the alias.

    Where that is the candidate itself, an earlier promotion was cut off after it had moved the alias, or used
    other thresholds; what the candidate was compared with then still counts.

    Raises:
        StepError: the champion's run or metric is gone, or MLflow failed.
    """
    version = registry.version_by_alias(client, name, CHAMPION)
    if version is None:
        return NO_CHAMPION
    if str(version.version) == str(candidate.version):
        return _compared_with(candidate) or NO_CHAMPION
    try:
        accuracy = registry.run_metric(client, version.run_id or "", METRIC)
    except StepError as error:
        raise StepError(
            f"champion version {version.version} of {name!r} cannot be compared with: {error}; "
            "move the alias 'champion' to a version with that metric, or delete the alias"
        ) from error
    return Champion(str(version.version), accuracy)


def recorded(candidate: ModelVersion, thresholds: Thresholds) -> tuple[Decision, Champion] | None:
    """The decision that Gate 1 took on this version under the same thresholds; None where there is none."""
    tags = candidate.tags
    same = tags.get(_MIN_ACCURACY) == repr(thresholds.min_accuracy)
    same = same and tags.get(_MIN_IMPROVEMENT) == repr(thresholds.min_improvement)
    champion = _compared_with(candidate)
    if _RESULT not in tags or champion is None or not same:
        return None
    return Decision(tags[_RESULT] == "passed", tags.get(_REASON, "")), champion


def record(
    client: MlflowClient,
    candidate: ModelVersion,
    decision: Decision,
    champion: Champion,
    thresholds: Thresholds,
) -> None:
    """Write down the comparison, move the alias if the candidate passed, then write down the answer.

    Raises:
        StepError: MLflow failed; run again, the promotion goes on where it stopped.
    """
    name, version = candidate.name, candidate.version
    comparison = {
        _CHAMPION_VERSION: champion.version,
        _CHAMPION_ACCURACY: "" if champion.accuracy is None else repr(champion.accuracy),
        _MIN_ACCURACY: repr(thresholds.min_accuracy),
        _MIN_IMPROVEMENT: repr(thresholds.min_improvement),
    }
    registry.set_version_tags(client, name, version, comparison)
    if decision.passed:
        registry.set_alias(client, name, CHAMPION, version)
    registry.set_version_tags(client, name, version, {_REASON: decision.reason, _RESULT: decision.result})


def _compared_with(candidate: ModelVersion) -> Champion | None:
    accuracy = candidate.tags.get(_CHAMPION_ACCURACY)
    if accuracy is None:
        return None
    return Champion(candidate.tags.get(_CHAMPION_VERSION, ""), float(accuracy) if accuracy else None)
