"""Gate 1 on a real registry: what it decides, what it remembers, what it refuses to judge."""

from collections.abc import Callable

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared import registry
from argosy.components.training import candidates
from argosy.components.training.candidates import CHAMPION
from argosy.components.training.promote import Promotion, promote
from argosy.errors import StepError, UsageError
from tests.components.training.conftest import Servers

Candidate = Callable[..., str]


@pytest.fixture
def gate(servers: Servers, name: str) -> Callable[..., Promotion]:
    """Gate 1 for the test's own model."""
    return lambda run_id, **settings: promote(run_id, name, servers.mlflow, **settings)


def _champion(client: MlflowClient, name: str) -> str | None:
    version = registry.version_by_alias(client, name, CHAMPION)
    return None if version is None else str(version.version)


def test_a_first_good_candidate_becomes_the_champion(
    gate: Callable[..., Promotion], candidate: Candidate, client: MlflowClient, name: str
) -> None:
    run_id = candidate(0.93)
    answer = gate(run_id)
    assert answer == Promotion("passed", "1", 0.93, None, answer.reason)
    assert _champion(client, name) == "1"
    version = registry.get_version(client, name, "1")
    assert version.run_id == run_id
    assert version.tags["run_id"] == run_id
    assert version.tags["best_val_accuracy"] == "0.93"
    assert version.tags["gate1.result"] == "passed"


def test_the_alias_moves_only_to_a_clearly_better_candidate(
    gate: Callable[..., Promotion], candidate: Candidate, client: MlflowClient, name: str
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
    gate: Callable[..., Promotion], candidate: Candidate, client: MlflowClient, name: str, accuracy: float
) -> None:
    run_id = candidate(accuracy)
    assert gate(run_id) == gate(run_id)
    assert len(client.search_model_versions(f"name='{name}'")) == 1


def test_a_repeated_promotion_takes_nothing_from_a_later_champion(
    gate: Callable[..., Promotion], candidate: Candidate, client: MlflowClient, name: str
) -> None:
    first, second = candidate(0.91), candidate(0.95)
    before = gate(first)
    assert gate(second).result == "passed"
    assert gate(first) == before
    assert _champion(client, name) == "2"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_an_interrupted_promotion_goes_on_to_the_same_answer(
    gate: Callable[..., Promotion],
    candidate: Candidate,
    client: MlflowClient,
    name: str,
    written: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off after nothing, after the comparison, after the alias."""
    gate(candidate(0.90))
    run_id = candidate(0.93)
    with monkeypatch.context() as patch:
        if written < 2:
            patch.setattr(registry, "set_alias", _cut)
        if written != 1:
            patch.setattr(registry, "set_version_tags", _Cutting(after=0 if written == 0 else 1))
        with pytest.raises(StepError, match="cut off"):
            gate(run_id)
    answer = gate(run_id)
    assert (answer.result, answer.champion_accuracy) == ("passed", 0.90)
    assert _champion(client, name) == answer.model_version == "2"


def _cut(*_: object) -> None:
    raise StepError("cut off")


class _Cutting:
    """The real function, until the connection is cut."""

    def __init__(self, after: int) -> None:
        self.left, self.real = after, registry.set_version_tags

    def __call__(self, *args: object) -> None:
        if self.left == 0:
            _cut()
        self.left -= 1
        self.real(*args)  # type: ignore[arg-type]


def test_other_thresholds_are_another_question(gate: Callable[..., Promotion], candidate: Candidate) -> None:
    run_id = candidate(0.85)
    assert gate(run_id).result == "failed"
    assert gate(run_id, min_accuracy=0.8).result == "passed"
    assert gate(run_id, min_accuracy=0.86).result == "failed"


@pytest.mark.parametrize(
    ("accuracy", "model", "message"),
    [
        (None, True, "has no metric 'best_val_accuracy'; it logged: none"),
        (float("nan"), True, "is nan, not a finite number"),
        (float("inf"), True, "not a number from 0 to 1"),  # MLflow keeps the largest number instead
        (1.5, True, "the candidate's accuracy is 1.5"),
        (0.95, False, "logged no model"),
    ],
)
def test_what_cannot_be_judged_is_an_error(
    gate: Callable[..., Promotion],
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


def test_an_unknown_run_is_an_error_that_names_run_and_server(
    gate: Callable[..., Promotion], servers: Servers
) -> None:
    with pytest.raises(StepError) as caught:
        gate("0" * 32)
    assert "0" * 32 in str(caught.value)
    assert servers.mlflow in str(caught.value)


def test_a_deleted_run_is_an_error(
    gate: Callable[..., Promotion], candidate: Candidate, client: MlflowClient
) -> None:
    run_id = candidate(0.95)
    client.delete_run(run_id)
    with pytest.raises(StepError, match="was deleted"):
        gate(run_id)


def test_a_champion_without_metric_is_an_error_that_says_what_to_do(
    gate: Callable[..., Promotion], candidate: Candidate, client: MlflowClient, name: str
) -> None:
    version = candidates.register(client, name, candidate(None), 0.0)
    registry.set_alias(client, name, CHAMPION, version.version)
    with pytest.raises(StepError, match=r"champion version 1 .* cannot be compared with.* delete the alias"):
        gate(candidate(0.95))


def test_a_dead_server_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    with pytest.raises(StepError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        promote("0" * 32, "m", "http://127.0.0.1:9")
    mlflow.set_tracking_uri(before)


def test_a_threshold_that_is_no_share_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UsageError, match=r"min_accuracy is 90; it must be from 0 to 1"):
        promote("0" * 32, "m", "http://127.0.0.1:9", min_accuracy=90)
