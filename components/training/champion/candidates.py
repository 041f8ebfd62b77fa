"""Candidates and champions in the model registry: registered once a run, with score and Gate 1's decisions.

A version carries its score from the moment it is registered, so that it can be compared with even after its
run was deleted. Each record is one tag, written at once: a version never shows half of one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlflow.entities import LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion.gate import Decision, Rule, Score
from argosy.errors import StepError

log = logging.getLogger(__name__)

CHAMPION = "champion"
_FINGERPRINT = "dataset.fingerprint"  # of a version; a run has it as a tag of that name, or as a parameter
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
    return str(run.data.tags.get(_FINGERPRINT) or run.data.params.get(_FINGERPRINT_PARAMETER) or "")


def register(client: MlflowClient, name: str, run_id: str, score: Score, metric: str) -> ModelVersion:
    """The version of `name` that belongs to run `run_id`, with its score; registered unless it was before.

    Raises:
        StepError: the run logged no model, or MLflow failed.
    """
    tags = {_metric_tag(metric): repr(score.value)}
    if score.data:
        tags[_FINGERPRINT] = score.data
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
        return Score(float(noted), version.tags.get(_FINGERPRINT, ""))
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


def register_model_of_run(
    client: MlflowClient, name: str, run_id: str, tags: Mapping[str, object]
) -> ModelVersion:
    """The version of `name` that belongs to run `run_id`, registered now unless it was before.

    Where two steps register the same run at once, the older version stays and the other is removed again.

    Args:
        client: from `registry.connect`.
        name: the registered model, created where it does not exist.
        run_id: the run; where it logged several models, the last whole one counts.
        tags: written on a new version, values as text.

    Raises:
        StepError: there is no such run, it logged no model, or MLflow failed.
    """
    existing = registry.version_of_run(client, name, run_id)
    if existing is not None:
        return existing
    model_id = logged_model(client, run_id)
    if model_id is None:
        status = registry.get_run(client, run_id).info.status
        raise StepError(f"run {run_id} (status {status}) logged no model")
    registry.ensure_model(client, name)
    text = {key: str(value) for key, value in tags.items()}
    with registry.mlflow_errors(f"register the model of run {run_id} as {name!r}"):
        made = client.create_model_version(
            name, f"models:/{model_id}", run_id=run_id, tags=text, model_id=model_id
        )
    return _oldest(client, made, run_id)


def logged_model(client: MlflowClient, run_id: str) -> str | None:
    """The id of the last model that the run logged to its end; None where there is none.

    Raises:
        StepError: there is no such run, or MLflow failed.
    """
    run = registry.get_run(client, run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    for output in reversed(outputs):
        with registry.mlflow_errors(f"read model {output.model_id} of run {run_id}"):
            if client.get_logged_model(output.model_id).status == LoggedModelStatus.READY:
                return str(output.model_id)
    return None


def all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of the registered model, tags included.

    Raises:
        StepError: MLflow failed.
    """
    found: list[ModelVersion] = []
    token: str | None = None
    while token is None or token:
        with registry.mlflow_errors(f"list the versions of model {name!r}"):
            page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token or ""
    return found


def _oldest(client: MlflowClient, made: ModelVersion, run_id: str) -> ModelVersion:
    """The older version that another step made of the same run meanwhile, else the one that was made here."""
    oldest = registry.version_of_run(client, made.name, run_id)
    if oldest is None or str(oldest.version) == str(made.version):
        return made
    log.info("run %s is version %s of %s already", run_id, oldest.version, made.name)
    with registry.mlflow_errors(f"remove version {made.version} of model {made.name!r}"):
        client.delete_model_version(made.name, str(made.version))
    return oldest
