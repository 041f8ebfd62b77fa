"""Gate 1: a candidate and its contest with the champion, from the registered run to the moved alias.

The order of the writes makes a repeated or interrupted promotion give the same answer: first what the
candidate is compared with, then the alias, and the answer last. A version with an answer is not decided
again, and its alias is not moved again: another champion may hold it by then.

A version carries its score from the moment it is registered, so that it can be compared with even after its
run was deleted. Each record is one tag, written at once: a version never shows half of one.

Decisions for the cases that a gate meets sooner or later:

| case | decision |
|---|---|
| no champion | the threshold alone decides |
| candidate exactly at the threshold, or at champion + improvement | passes, rounding allowed for |
| candidate equal to the champion | fails, unless the improvement asked for is 0 or less |
| candidate's metric missing, NaN or infinite | error: what cannot be judged has not failed |
| champion's metric missing, NaN or infinite | error that says how to go on; the alias stays |
| champion's version deleted | its alias is gone with it: as without a champion |
| champion's run deleted | what its version noted when it was promoted counts; without such a note, error |
| champion of another data set | as `on_other_data` says: compared (default), failed, or ignored; told |
| data set of either unknown | compared, and told |
| candidate is the champion | compared with what it was compared with before; the alias stays |
| champion moves while the gate decides | decided again, against the new champion |
| two candidates promoted at once | the better gets the alias (a tie: the older version); the other meets it |
| same candidate again, same rule | the recorded answer; the alias does not move |
| same candidate again, another rule | decided anew |
| cut off anywhere and run again | goes on where it stopped, one version a run |
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlflow.entities import LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

ROUNDS = 20
CHAMPION = "champion"
_FINGERPRINT = "dataset.fingerprint"  # of a version; a run has it as a tag of that name, or as a parameter
_FINGERPRINT_PARAMETER = "dataset_fingerprint"
_COMPARISON, _ANSWER = "gate1.comparison", "gate1.answer"
_RESULT, _REASON = "gate1.result", "gate1.reason"  # for people; never read
Direction = Literal["maximize", "minimize"]
OnOtherData = Literal["compare", "fail", "ignore-champion"]
ChampionData = Literal["same", "other", "unknown", "none"]

# The training recipe's own accuracies: shares of the validation set, so a number such as 95 is a mistake.
SHARES = frozenset({"best_val_accuracy", "val_accuracy"})

# 0.900 + 0.005 is 0.905 on paper and a hair more in binary. A billionth of the numbers themselves is far
# below one image in any validation set, and far above the rounding of such sums.
EPSILON = 1e-9


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
    score = score_of_run(client, run_id, rule.metric)
    rule.check("candidate", score.value)
    candidate = register_candidate(client, name, run_id, score, rule.metric)
    answer = answer_of(candidate)
    if answer is None or answer.comparison.rule != rule.text():
        answer = _judge(client, candidate, score, rule)
        note_answer(client, candidate, answer)
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
        note_comparison(client, candidate, comparison)
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
    before = comparison_of(candidate)
    if holder is not None and str(holder.version) == str(candidate.version):
        return (before.champion if before else None), True
    if before is not None and before.passed and before.rule == rule.text() and contest.was_won():
        return before.champion, True
    if holder is None:
        return None, False
    score = score_of_version(client, holder, rule.metric)
    return Champion(str(holder.version), score), False


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


@dataclass(frozen=True)
class Rule:
    """Gate 1's demands on a candidate, in the units of the metric.

    Attributes:
        min_accuracy: the threshold; the highest allowed value where the metric is minimized.
        min_improvement: how much better than the champion. Below 0 a worse candidate passes.
        metric: name of a metric of the candidate's run.
        direction: whether more of the metric is better, or less.
        on_other_data: what a champion of another data set counts for.

    Raises:
        UsageError: a number is out of range, or a word is unknown.
    """

    min_accuracy: float = 0.90
    min_improvement: float = 0.005
    metric: str = "best_val_accuracy"
    direction: Direction = "maximize"
    on_other_data: OnOtherData = "compare"

    def __post_init__(self) -> None:
        if not self.metric.strip():
            raise UsageError("metric is empty; name a metric of the run, such as best_val_accuracy")
        if self.direction not in ("maximize", "minimize"):
            raise UsageError(f"direction is {self.direction!r}; it must be maximize or minimize")
        for name, lowest in (("min_accuracy", 0.0), ("min_improvement", -1.0)):
            value = getattr(self, name)
            if self.metric in SHARES and not lowest <= value <= 1.0:  # true for NaN as well
                raise UsageError(f"{name} is {value}; for {self.metric} it must be from {lowest:g} to 1")
            if not math.isfinite(value):
                raise UsageError(f"{name} is {value}; it must be a finite number")

    def text(self) -> str:
        """The rule in one line, the same for equal rules."""
        return json.dumps(asdict(self), sort_keys=True)

    def check(self, who: str, value: float) -> None:
        """Refuse what cannot be compared.

        Raises:
            StepError: the metric's `value` of `who` is not finite, or no share where it must be one.
        """
        # MLflow keeps the largest number of all in place of infinity.
        if not abs(value) < sys.float_info.max:
            raise StepError(f"the {who}'s {self.metric} is {value}, not a finite number")
        if self.metric in SHARES and not 0.0 <= value <= 1.0:
            raise StepError(f"the {who}'s {self.metric} is {value}, not a number from 0 to 1")

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.direction == "maximize" else one < other

    def show(self, value: float) -> str:
        """A value of the metric, for people."""
        return f"{value:.4f}" if self.metric in SHARES else f"{value:.6g}"


@dataclass(frozen=True)
class Score:
    """The measure of a model: its metric, and the fingerprint of its data set ("" where unknown)."""

    value: float
    data: str = ""


@dataclass(frozen=True)
class Decision:
    """The answer of Gate 1, one sentence of reason with the numbers in it, and on whose data they rest."""

    passed: bool
    reason: str
    champion_data: ChampionData

    @property
    def result(self) -> Literal["passed", "failed"]:
        """The answer as it travels between steps."""
        return "passed" if self.passed else "failed"


def decide(candidate: Score, champion: Score | None, rule: Rule) -> Decision:
    """Decide whether a candidate passes; the table at the top of this module says how.

    Raises:
        StepError: a metric is not a finite number, or an accuracy not from 0 to 1.
    """
    rule.check("candidate", candidate.value)
    data = _champion_data(candidate, champion)
    enough, below, sign = (">=", "below", "+") if rule.direction == "maximize" else ("<=", "above", "-")
    said = f"{rule.metric} {rule.show(candidate.value)}"
    threshold = rule.show(rule.min_accuracy)
    if not _reaches(candidate.value, rule.min_accuracy, 0.0, rule):
        return Decision(False, f"{said} is {below} the required {threshold}", data)
    if champion is None:
        return Decision(True, f"{said} {enough} {threshold}, and no champion yet", data)
    if data == "other" and rule.on_other_data != "compare":
        return _on_other_data(f"{said} {enough} {threshold}", rule)
    rule.check("champion", champion.value)
    needed = _bar(champion.value, rule)
    margin = f"champion {rule.show(champion.value)} {sign} {rule.show(rule.min_improvement)}"
    bar = f"{rule.show(needed)} ({margin}{_NOTES[data]})"
    if not _reaches(candidate.value, needed, champion.value, rule):
        return Decision(False, f"{said} is {below} {bar}", data)
    return Decision(True, f"{said} {enough} {bar}", data)


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


def register_candidate(
    client: MlflowClient, name: str, run_id: str, score: Score, metric: str
) -> ModelVersion:
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


_NOTES: dict[ChampionData, str] = {
    "same": "",
    "none": "",
    "other": "; it was made with another data set",
    "unknown": "; whether it was made with the same data set is unknown",
}


def _champion_data(candidate: Score, champion: Score | None) -> ChampionData:
    if champion is None:
        return "none"
    if not (candidate.data and champion.data):
        return "unknown"
    return "same" if candidate.data == champion.data else "other"


def _on_other_data(said: str, rule: Rule) -> Decision:
    """The answer where the champion's number was measured on other data and must not be compared with."""
    if rule.on_other_data == "fail":
        return Decision(False, f"{said}, but the champion was made with another data set", "other")
    return Decision(True, f"{said}; the champion was made with another data set and does not count", "other")


def _bar(champion: float, rule: Rule) -> float:
    return champion + rule.min_improvement * (1 if rule.direction == "maximize" else -1)


def _reaches(value: float, bound: float, champion: float, rule: Rule) -> bool:
    """Whether `value` is at least (at most) `bound`, give or take the rounding of what it came from."""
    slack = EPSILON * max(abs(value), abs(bound), abs(champion))
    return value >= bound - slack if rule.direction == "maximize" else value <= bound + slack
