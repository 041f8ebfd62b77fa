"""Gate 1 on a run: register the candidate, decide, move the alias, and remember the answer.

The order of the writes makes a repeated or interrupted promotion give the same answer: first what the
candidate is compared with, then the alias, and the answer last. A version with an answer is not decided
again, and its alias is not moved again: another champion may hold it by then.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion import candidates
from argosy.components.training.champion.candidates import (
    CHAMPION,
    Answer,
    Champion,
    Comparison,
    all_versions,
    answer_of,
    comparison_of,
)
from argosy.components.training.champion.gate import Decision, Rule, Score, decide
from argosy.errors import StepError

ROUNDS = 20


@dataclass(frozen=True)
class Contest:
    """One promotion among others of the same model.

    Attributes:
        candidate: the version that is being promoted.
        settled: the versions that were decided on before it began; they are no rivals.
    """

    client: MlflowClient
    candidate: ModelVersion
    settled: Collection[str]

    @classmethod
    def open(cls, client: MlflowClient, candidate: ModelVersion) -> Contest:
        """Begin; to be called before the champion is read.

        Raises:
            StepError: MLflow failed.
        """
        versions = all_versions(client, candidate.name)
        return cls(client, candidate, {str(version.version) for version in versions if _decided(version)})

    def settle(self, comparison: Comparison, rule: Rule) -> str:
        """Give the alias to the best of all claims; return the version that holds it.

        Args:
            comparison: the candidate's own, which is a claim.
            rule: tells which of two values is better.

        Raises:
            StepError: others keep moving the alias, or MLflow failed.
        """
        name = self.candidate.name
        for _ in range(ROUNDS):
            claims = self._claims(comparison)
            best = winner(claims, rule)
            holder = registry.version_by_alias(self.client, name, CHAMPION)
            held = str(holder.version) if holder else ""
            if held == best:
                return best
            if held not in claims and held != (comparison.champion.version if comparison.champion else ""):
                log.warning("the alias %r of %s was moved to version %s meanwhile", CHAMPION, name, held)
                return held
            registry.set_alias(self.client, name, CHAMPION, best)
        raise StepError(f"the champion of {name!r} changed {ROUNDS} times in a row; run the step again")

    def was_won(self) -> bool:
        """Whether the candidate has been champion: it holds the alias, or another was compared with it.

        Raises:
            StepError: MLflow failed.
        """
        mine = str(self.candidate.version)
        holder = registry.version_by_alias(self.client, self.candidate.name, CHAMPION)
        if holder is not None and str(holder.version) == mine:
            return True
        compared = map(comparison_of, all_versions(self.client, self.candidate.name))
        return any(other and other.champion and other.champion.version == mine for other in compared)

    def _claims(self, mine: Comparison) -> dict[str, Comparison]:
        """The claims of all promotions that were not over when this one began, its own included."""
        claims = {}
        for version in all_versions(self.client, self.candidate.name):
            comparison = comparison_of(version)
            if comparison and comparison.passed and str(version.version) not in self.settled:
                claims[str(version.version)] = comparison
        return {**claims, str(self.candidate.version): mine}


def winner(claims: Mapping[str, Comparison], rule: Rule) -> str:
    """The version that the alias belongs to: the best value, on a tie the oldest version.

    A candidate that was compared with the best, and passed, comes after it and takes the alias from it, even
    if its value is lower: it was allowed to.
    """
    known = {
        version: claim
        for version, claim in claims.items()
        if (claim.metric, claim.direction) == (rule.metric, rule.direction)
    }
    best = _best(known, rule)
    seen = {best}
    while successors := {
        version: claim
        for version, claim in known.items()
        if version not in seen and claim.champion and claim.champion.version == best
    }:
        best = _best(successors, rule)
        seen.add(best)
    return best


def _best(claims: Mapping[str, Comparison], rule: Rule) -> str:
    sign = -1 if rule.direction == "maximize" else 1
    return min(claims, key=lambda version: (sign * claims[version].value, int(version)))


def _decided(version: ModelVersion) -> bool:
    """Whether the last comparison of a version has its answer."""
    answer = answer_of(version)
    return answer is not None and answer.comparison == comparison_of(version)


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promoted:
    """The outcome of a promotion; `champion` is the score that the candidate was compared with."""

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
    """The model to compare the candidate with, and whether the candidate is, or was, champion already.

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
