"""Candidates and champions in the model registry: their scores, and the record of what Gate 1 decided.

A version carries its score from the moment it is registered, so that it can be compared with even after its
run was deleted. Each record is one tag, written at once: a version never shows half of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion.gate import Decision, Rule, Score
from argosy.components.training.champion.registration import register_model_of_run
from argosy.errors import StepError

CHAMPION = "champion"
FINGERPRINT = "dataset.fingerprint"  # of a version; a run has it as a tag of that name, or as a parameter
_FINGERPRINT_PARAMETER = "dataset_fingerprint"

_COMPARISON, _ANSWER = "gate1.comparison", "gate1.answer"
_RESULT, _REASON = "gate1.result", "gate1.reason"  # for people; never read


@dataclass(frozen=True)
class Champion:
    """A version that candidates are compared with."""

    version: str
    score: Score


@dataclass(frozen=True)
class Comparison:
    """The comparison of a candidate: with which model, by which rule, and whether it claims the alias."""

    rule: str
    metric: str
    direction: str
    value: float
    champion: Champion | None
    passed: bool

    @classmethod
    def of(cls, score: Score, champion: Champion | None, rule: Rule, passed: bool) -> Comparison:
        """The comparison that led to a decision."""
        return cls(rule.text(), rule.metric, rule.direction, score.value, champion, passed)

    @classmethod
    def read(cls, text: str) -> Comparison:
        """The value that `json.dumps(asdict(...))` wrote."""
        fields = json.loads(text)
        noted = fields.pop("champion")
        champion = noted and Champion(noted["version"], Score(**noted["score"]))
        return cls(champion=champion, **fields)


@dataclass(frozen=True)
class Answer:
    """The final answer of Gate 1 on a version, with the comparison that it rests on."""

    comparison: Comparison
    decision: Decision


def score_of_run(client: MlflowClient, run_id: str, metric: str) -> Score:
    """The score of a run: the metric's last value and the fingerprint of its data set.

    Raises:
        StepError: no such run, it was deleted, its metric is missing or NaN, or MLflow failed.
    """
    value = registry.run_metric(client, run_id, metric)
    return Score(value, fingerprint(registry.get_run(client, run_id)))


def fingerprint(run: Run) -> str:
    """The fingerprint of the data set that a run was trained on; "" where the run does not tell."""
    return str(run.data.tags.get(FINGERPRINT) or run.data.params.get(_FINGERPRINT_PARAMETER) or "")


def register(client: MlflowClient, name: str, run_id: str, score: Score, metric: str) -> ModelVersion:
    """The version of `name` that belongs to run `run_id`, with its score; registered unless it was before.

    Raises:
        StepError: the run logged no model, or MLflow failed.
    """
    tags = {_metric_tag(metric): repr(score.value)}
    if score.data:
        tags[FINGERPRINT] = score.data
    version = register_model_of_run(client, name, run_id, {"run_id": run_id, **tags})
    missing = {key: value for key, value in tags.items() if version.tags.get(key) != value}
    if missing:
        registry.set_version_tags(client, name, version.version, missing)
    return version


def score_of_version(client: MlflowClient, version: ModelVersion, metric: str) -> Score:
    """The score that a version carries, else that of its run.

    Raises:
        StepError: neither has the metric; the message says how to go on.
    """
    noted = version.tags.get(_metric_tag(metric))
    if noted is not None:
        return Score(float(noted), version.tags.get(FINGERPRINT, ""))
    try:
        return score_of_run(client, version.run_id or "", metric)
    except StepError as error:
        raise StepError(
            f"champion version {version.version} of {version.name!r} cannot be compared with: {error}; "
            "move the alias 'champion' to a version with that metric, or delete the alias"
        ) from error


def comparison_of(version: ModelVersion) -> Comparison | None:
    """The last comparison of this version with a champion."""
    text = version.tags.get(_COMPARISON)
    return Comparison.read(text) if text else None


def answer_of(version: ModelVersion) -> Answer | None:
    """The last answer that Gate 1 gave on this version."""
    text = version.tags.get(_ANSWER)
    if not text:
        return None
    fields: dict[str, Any] = json.loads(text)
    return Answer(Comparison.read(fields["comparison"]), Decision(**fields["decision"]))


def note_comparison(client: MlflowClient, version: ModelVersion, comparison: Comparison) -> None:
    """Write down a comparison, before anything is done about it.

    Raises:
        StepError: MLflow failed.
    """
    _tag(client, version, {_COMPARISON: _text(comparison)})


def note_answer(client: MlflowClient, version: ModelVersion, answer: Answer) -> None:
    """Write down the answer, after everything is done.

    Raises:
        StepError: MLflow failed.
    """
    text = json.dumps({"comparison": _text(answer.comparison), "decision": asdict(answer.decision)})
    readable = {_REASON: answer.decision.reason, _RESULT: answer.decision.result}
    _tag(client, version, {**readable, _ANSWER: text})


def _text(comparison: Comparison) -> str:
    return json.dumps(asdict(comparison), sort_keys=True)


def _tag(client: MlflowClient, version: ModelVersion, tags: Mapping[str, str]) -> None:
    registry.set_version_tags(client, version.name, version.version, tags)


def _metric_tag(metric: str) -> str:
    return f"metric.{metric}"
