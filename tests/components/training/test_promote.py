"""Gate 1 on a real registry: what it decides, what it remembers, what it refuses to judge."""

from collections.abc import Callable

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training.champion import CHAMPION, register_model_of_run
from argosy.components.training.promote import Promotion, promote
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Servers

Candidate = Callable[..., str]
Gate = Callable[..., Promotion]


@pytest.fixture
def gate(servers: Servers, name: str) -> Gate:
    """Gate 1 for the test's own model."""
    return lambda run_id, **settings: promote(run_id, name, servers.mlflow, **settings)


def _champion(client: MlflowClient, name: str) -> str | None:
    version = registry.version_by_alias(client, name, CHAMPION)
    return None if version is None else str(version.version)


def test_a_first_good_candidate_becomes_the_champion(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    run_id = candidate(0.93)
    answer = gate(run_id)
    assert answer == Promotion("passed", "1", 0.93, None, answer.reason, "none")
    assert _champion(client, name) == "1"
    version = registry.get_version(client, name, "1")
    assert version.run_id == run_id
    assert version.tags["run_id"] == run_id
    assert version.tags["metric.best_val_accuracy"] == "0.93"
    assert version.tags["gate1.result"] == "passed"


def test_the_alias_moves_only_to_a_clearly_better_candidate(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    results = []
    for accuracy in (0.90, 0.9049, 0.905, 0.904, 0.89):
        answer = gate(candidate(accuracy))
        results.append((answer.result, answer.model_version, answer.champion_accuracy))
    assert results == [
        ("passed", "1", None),
        ("failed", "2", 0.90),
        ("passed", "3", 0.90),
        ("failed", "4", 0.905),
        ("failed", "5", 0.905),
    ]
    assert _champion(client, name) == "3"


@pytest.mark.parametrize("accuracy", [0.93, 0.5])
def test_run_twice_the_answer_is_the_same(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str, accuracy: float
) -> None:
    run_id = candidate(accuracy)
    assert gate(run_id) == gate(run_id)
    assert len(client.search_model_versions(f"name='{name}'")) == 1


def test_a_repeated_promotion_takes_nothing_from_a_later_champion(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    first, second = candidate(0.91), candidate(0.95)
    before = gate(first)
    assert gate(second).result == "passed"
    assert gate(first) == before
    assert _champion(client, name) == "2"


def test_other_thresholds_are_another_question(gate: Gate, candidate: Candidate) -> None:
    run_id = candidate(0.85)
    assert gate(run_id).result == "failed"
    assert gate(run_id, min_accuracy=0.8).result == "passed"
    assert gate(run_id, min_accuracy=0.86).result == "failed"


@pytest.mark.parametrize(
    ("accuracy", "model", "message"),
    [
        (None, True, "has no metric 'best_val_accuracy'; it logged: none"),
        (float("nan"), True, "is nan, not a finite number"),
        (float("inf"), True, "not a finite number"),  # MLflow keeps the largest number instead
        (1.5, True, "the candidate's best_val_accuracy is 1.5"),
        (0.95, False, "logged no model"),
    ],
)
def test_what_cannot_be_judged_is_an_error(
    gate: Gate,
    candidate: Candidate,
    client: MlflowClient,
    name: str,
    accuracy: float | None,
    model: bool,
    message: str,
) -> None:
    run_id = candidate(accuracy, model=model)
    with pytest.raises(StepError, match=message):
        gate(run_id)
    assert registry.find_model(client, name) is None  # nothing was registered either


def test_an_unknown_run_is_an_error_that_names_run_and_server(gate: Gate, servers: Servers) -> None:
    with pytest.raises(StepError) as caught:
        gate("0" * 32)
    assert "0" * 32 in str(caught.value)
    assert servers.mlflow in str(caught.value)


def test_a_deleted_run_is_an_error(gate: Gate, candidate: Candidate, client: MlflowClient) -> None:
    run_id = candidate(0.95)
    client.delete_run(run_id)
    with pytest.raises(StepError, match="was deleted"):
        gate(run_id)


def test_a_champion_without_metric_is_an_error_that_says_what_to_do(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    version = register_model_of_run(client, name, candidate(None), {})
    registry.set_alias(client, name, CHAMPION, version.version)
    with pytest.raises(StepError, match=r"champion version 1 .* cannot be compared with.* delete the alias"):
        gate(candidate(0.95))
    assert _champion(client, name) == "1"


def test_a_champion_with_nan_is_an_error(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    version = register_model_of_run(client, name, candidate(float("nan")), {})
    registry.set_alias(client, name, CHAMPION, version.version)
    with pytest.raises(StepError, match=r"champion version 1 .* is nan, not a finite number"):
        gate(candidate(0.95))


def test_a_deleted_champion_leaves_the_threshold_alone(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    gate(candidate(0.99))
    client.delete_model_version(name, "1")
    answer = gate(candidate(0.92))
    assert (answer.result, answer.champion_accuracy, answer.champion_data) == ("passed", None, "none")
    assert _champion(client, name) == answer.model_version


def test_a_champion_whose_run_was_deleted_still_counts(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    run_id = candidate(0.93, data="a")
    gate(run_id)
    client.delete_run(run_id)
    answer = gate(candidate(0.934, data="a"))
    assert (answer.result, answer.champion_accuracy, answer.champion_data) == ("failed", 0.93, "same")


def test_without_a_note_on_its_version_a_champion_needs_its_run(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    run_id = candidate(0.93)
    version = register_model_of_run(client, name, run_id, {})
    registry.set_alias(client, name, CHAMPION, version.version)
    assert gate(candidate(0.931)).champion_accuracy == 0.93
    client.delete_run(run_id)
    with pytest.raises(StepError, match="was deleted"):
        gate(candidate(0.95))


def test_a_candidate_that_is_champion_by_hand_is_judged_by_the_threshold(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    run_id = candidate(0.93)
    register_model_of_run(client, name, run_id, {})
    registry.set_alias(client, name, CHAMPION, "1")
    assert gate(run_id, min_accuracy=0.94).result == "failed"
    assert _champion(client, name) == "1"
    assert gate(run_id).result == "passed"


def test_the_champion_is_compared_with_what_it_replaced(gate: Gate, candidate: Candidate) -> None:
    gate(candidate(0.90))
    run_id = candidate(0.93)
    gate(run_id)
    answer = gate(run_id, min_improvement=0.03)
    assert (answer.result, answer.champion_accuracy) == ("passed", 0.90)
    assert gate(run_id, min_improvement=0.04).result == "failed"


@pytest.mark.parametrize(
    ("setting", "result", "reason"),
    [
        ("compare", "failed", "it was made with another data set"),
        ("fail", "failed", "but the champion was made with another data set"),
        ("ignore-champion", "passed", "does not count"),
    ],
)
def test_a_champion_of_another_data_set(
    gate: Gate, candidate: Candidate, setting: str, result: str, reason: str
) -> None:
    gate(candidate(0.95, data="a" * 64))
    answer = gate(candidate(0.93, data="b" * 64), on_other_data=setting)
    assert (answer.result, answer.champion_data, answer.champion_accuracy) == (result, "other", 0.95)
    assert reason in answer.reason


def test_another_metric_and_direction(
    gate: Gate, candidate: Candidate, client: MlflowClient, name: str
) -> None:
    rule = {"metric": "val_loss", "direction": "minimize", "min_accuracy": 0.5, "min_improvement": 0.01}
    results = [gate(candidate(loss, metric="val_loss"), **rule).result for loss in (0.51, 0.3, 0.295, 0.29)]
    assert results == ["failed", "passed", "failed", "passed"]
    assert _champion(client, name) == "4"
    with pytest.raises(StepError, match="has no metric 'best_val_accuracy'; it logged: val_loss"):
        gate(candidate(0.1, metric="val_loss"))


def test_a_dead_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    with pytest.raises(StepError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        promote("0" * 32, "m", "http://127.0.0.1:9")
    mlflow.set_tracking_uri(before)


def test_a_threshold_that_is_no_share_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UsageError, match=r"min_accuracy is 90; .*it must be from 0 to 1"):
        promote("0" * 32, "m", "http://127.0.0.1:9", min_accuracy=90)
