"""Gate 1 cut off anywhere, and several promotions of one model at once, on a real registry."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion import CHAMPION, Champion, Comparison, Rule, Score, winner
from argosy.components.training.promote import Promotion, promote
from argosy.errors import StepError
from tests.components.training.conftest import Servers
from tests.components.training.cutting import Cut, Writes

Candidate = Callable[..., str]
Gate = Callable[..., Promotion]


@pytest.fixture
def gate(servers: Servers, name: str) -> Gate:
    """Gate 1 for the test's own model."""
    return lambda run_id, **settings: promote(run_id, name, servers.mlflow, **settings)


def _champion(client: MlflowClient, name: str) -> str | None:
    version = registry.version_by_alias(client, name, CHAMPION)
    return None if version is None else str(version.version)


@pytest.mark.parametrize("accuracy", [0.93, 0.901])
def test_cut_off_after_any_write_it_goes_on_to_the_same_answer(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str, accuracy: float
) -> None:
    gate(candidate(0.90))
    answers, cut, allowed = [], True, 0
    while cut:
        run_id = candidate(accuracy)
        with pytest.MonkeyPatch.context() as patch:
            Writes(patch, allowed)
            try:
                gate(run_id)
                cut = False
            except Cut:
                allowed += 1
        answers.append(gate(run_id))
        assert gate(run_id) == answers[-1]
        assert len(client.search_model_versions(f"run_id='{run_id}'")) == 1
        assert _champion(client, name) == (answers[-1].model_version if accuracy == 0.93 else "1")
        registry.set_alias(client, name, CHAMPION, "1")  # the next candidate meets what this one met
    assert allowed >= 4
    assert {answer._replace(model_version="") for answer in answers} == {
        answers[0]._replace(model_version="")
    }


def test_a_champion_that_was_cut_off_and_replaced_has_passed_all_the_same(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    gate(candidate(0.90))
    first = candidate(0.93)
    with pytest.MonkeyPatch.context() as patch:
        _cut_after_the_alias(patch)
        with pytest.raises(Cut):
            gate(first)
    assert _champion(client, name) == "2"
    assert gate(candidate(0.95)).champion_accuracy == 0.93
    answer = gate(first)
    assert (answer.result, answer.champion_accuracy) == ("passed", 0.90)
    assert _champion(client, name) == "3"


def _cut_after_the_alias(patch: pytest.MonkeyPatch) -> None:
    real = MlflowClient.set_registered_model_alias

    def move(*args: object) -> None:
        real(*args)
        raise Cut

    patch.setattr(MlflowClient, "set_registered_model_alias", move)


@pytest.mark.parametrize(("slow", "fast"), [(0.93, 0.96), (0.96, 0.93), (0.96, 0.962), (0.95, 0.95)])
def test_a_late_move_of_the_alias_does_not_outlast_a_better_champion(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str, slow: float, fast: float
) -> None:
    """While one promotion is about to move the alias, another begins, passes and ends."""
    gate(candidate(0.90))
    runs = {"slow": candidate(slow), "fast": candidate(fast)}
    answers: dict[str, Promotion] = {}
    real = MlflowClient.set_registered_model_alias

    def overtaken(*args: object) -> None:
        if "fast" not in answers:
            answers["fast"] = Promotion("failed", "", 0, None, "", "none")  # begun
            answers["fast"] = gate(runs["fast"])
        real(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
        answers["slow"] = gate(runs["slow"])
    better = "fast" if fast > slow else "slow"
    assert _champion(client, name) == answers[better].model_version
    assert {who: answer.result for who, answer in answers.items()} == {
        who: "passed" if who == better else "failed" for who in answers
    }
    assert gate(runs["slow"]) == answers["slow"]
    assert gate(runs["fast"]) == answers["fast"]
    assert _champion(client, name) == answers[better].model_version


def test_a_champion_that_is_moved_by_hand_meanwhile_is_compared_with_again(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    gate(candidate(0.90))
    gate(candidate(0.99))
    registry.set_alias(client, name, CHAMPION, "1")
    real = MlflowClient.set_model_version_tag
    moved = []

    def tag(*args: object) -> None:
        real(*args)
        if args[3] == "gate1.comparison" and not moved:
            moved.append(True)
            registry.set_alias(client, name, CHAMPION, "2")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "set_model_version_tag", tag)
        answer = gate(candidate(0.95))
    assert (answer.result, answer.champion_accuracy) == ("failed", 0.99)
    assert _champion(client, name) == "2"


def test_promotions_at_once_leave_the_best_as_champion(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    gate(candidate(0.90))
    values = [0.91, 0.92, 0.93, 0.94, 0.94, 0.95]
    random.Random(1).shuffle(values)
    runs = [candidate(value) for value in values]
    barrier = threading.Barrier(len(runs))

    def one(run_id: str) -> Promotion:
        barrier.wait()
        return gate(run_id)

    with ThreadPoolExecutor(len(runs)) as pool:
        answers = list(pool.map(one, runs))
    best = answers[values.index(0.95)]
    assert best.result == "passed"
    assert _champion(client, name) == best.model_version
    assert [gate(run_id) for run_id in runs] == answers
    assert _champion(client, name) == best.model_version


def test_the_same_run_promoted_twice_at_once_is_one_version(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    gate(candidate(0.90))
    run_id = candidate(0.95)
    barrier = threading.Barrier(4)

    def one(_: int) -> Promotion | StepError:
        barrier.wait()
        try:
            return gate(run_id)
        except StepError as error:  # its version was removed in favour of an older one
            return error

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    (version,) = client.search_model_versions(f"run_id='{run_id}'")
    assert gate(run_id).result == "passed"
    assert _champion(client, name) == str(version.version)


RULE = Rule()
P = Champion("1", Score(0.90))


def _claim(value: float, champion: Champion | None = P, metric: str = "best_val_accuracy") -> Comparison:
    return Comparison(RULE.text(), metric, "maximize", value, champion, True)


@pytest.mark.parametrize(
    ("claims", "best"),
    [
        ({"2": _claim(0.93)}, "2"),
        ({"2": _claim(0.93), "3": _claim(0.95)}, "3"),
        ({"2": _claim(0.95), "3": _claim(0.95)}, "2"),
        ({"10": _claim(0.95), "9": _claim(0.95)}, "9"),
        ({"2": _claim(0.95), "3": _claim(0.91, Champion("2", Score(0.95)))}, "3"),  # it was allowed to
        ({"2": _claim(0.95), "3": _claim(0.92), "4": _claim(0.93, Champion("3", Score(0.92)))}, "2"),
        ({"2": _claim(0.9, Champion("3", Score(0.9))), "3": _claim(0.91, Champion("2", Score(0.9)))}, "2"),
        ({"2": _claim(0.93), "3": _claim(99.0, P, "psnr")}, "2"),
    ],
)
def test_whom_the_alias_belongs_to(claims: dict[str, Comparison], best: str) -> None:
    assert winner(claims, RULE) == best
