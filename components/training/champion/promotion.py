"""Gate 1 on a run: register the candidate, decide, move the alias, and remember the answer.

The order of the writes makes a repeated or interrupted promotion give the same answer: first what the
candidate is compared with, then the alias, and the answer last. A version with an answer is not decided
again, and its alias is not moved again: another champion may hold it by then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion import candidates
from argosy.components.training.champion.candidates import CHAMPION, Answer, Champion, Comparison
from argosy.components.training.champion.contest import ROUNDS, Contest
from argosy.components.training.champion.gate import Decision, Rule, Score, decide
from argosy.errors import StepError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promoted:
    """What came of a promotion; `champion` is the score that the candidate was compared with."""

    version: str
    score: Score
    champion: Score | None
    decision: Decision


def promote_run(client: MlflowClient, name: str, run_id: str, rule: Rule) -> Promoted:
    """Take run `run_id` through Gate 1 of model `name`.

    Raises:
        StepError: the candidate or the champion cannot be judged, or MLflow failed.
    """
    score = candidates.score_of_run(client, run_id, rule.metric)
    rule.check("candidate", score.value)
    candidate = candidates.register(client, name, run_id, score, rule.metric)
    answer = candidates.answer_of(candidate)
    if answer is None or answer.comparison.rule != rule.text():
        answer = _judge(client, candidate, score, rule)
        candidates.note_answer(client, candidate, answer)
    decision, champion = answer.decision, answer.comparison.champion
    log.info("Gate 1 %s for version %s: %s", decision.result, candidate.version, decision.reason)
    return Promoted(str(candidate.version), score, champion.score if champion else None, decision)


def _judge(client: MlflowClient, candidate: ModelVersion, score: Score, rule: Rule) -> Answer:
    """Decide until the champion that the candidate was compared with is the one that it replaces."""
    contest = Contest.open(client, candidate)
    for _ in range(ROUNDS):
        champion, reigns = _opponent(client, contest, rule)
        decision = decide(score, champion.score if champion else None, rule)
        comparison = Comparison.of(score, champion, rule, decision.passed)
        candidates.note_comparison(client, candidate, comparison)
        if not decision.passed or reigns or contest.settle(comparison, rule) == str(candidate.version):
            return Answer(comparison, decision)
    raise StepError(f"the champion of {candidate.name!r} changed {ROUNDS} times in a row; run the step again")


def _opponent(client: MlflowClient, contest: Contest, rule: Rule) -> tuple[Champion | None, bool]:
    """What to compare the candidate with, and whether it is, or was, champion already.

    It is where an earlier promotion was cut off after it had moved the alias, or had another rule: then what
    the candidate was compared with before still counts.
    """
    candidate = registry.get_version(client, contest.candidate.name, contest.candidate.version)
    holder = registry.version_by_alias(client, candidate.name, CHAMPION)
    before = candidates.comparison_of(candidate)
    if holder is not None and str(holder.version) == str(candidate.version):
        return (before.champion if before else None), True
    if before is not None and before.passed and before.rule == rule.text() and contest.was_won():
        return before.champion, True
    if holder is None:
        return None, False
    score = candidates.score_of_version(client, holder, rule.metric)
    return Champion(str(holder.version), score), False
