"""Who holds the alias `champion` when several candidates are promoted at once.

MLflow cannot move an alias on condition. So every candidate that passed writes its claim on its own version
first, moves the alias, and then looks at all claims again: the alias belongs to the best of them, and whoever
sees it elsewhere puts it there. Of two claims at least one is seen by the other, because each is written
before its owner looks; and the last to move the alias looks once more after that. A claim whose owner died is
carried out by whoever finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion.candidates import (
    CHAMPION,
    Comparison,
    answer_of,
    comparison_of,
)
from argosy.components.training.champion.gate import Rule
from argosy.components.training.champion.registration import all_versions
from argosy.errors import StepError

log = logging.getLogger(__name__)

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
