"""The train step on real servers: killed, told to go, retried; one run comes out, as if left alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.tracking import MlflowClient

from argosy.components.training.champion import logged_model
from tests.components.training.attempts import Training
from tests.components.training.conftest import SHAPE, Servers
from tests.components.training.digits import write_digits
from tests.components.training.small import TIMES, weights
from tests.faults.proxy import Fault, FaultProxy
from tests.kills import KILLS, moments

EPOCHS = 12
Make = Callable[..., Training]
# They tell about the machine, not about the training.
_OF_THE_MACHINE = {*TIMES, "peak_memory_mib"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 scans of each digit to train on, 5 to validate."""
    root = tmp_path_factory.mktemp("digits")
    write_digits(root, train=20, val=5)
    return root


@pytest.fixture
def training(servers: Servers, data: Path, name: str, tmp_path: Path) -> Make:
    """Makes a training in the test's own experiment; `place` is where its checkpoints lie."""

    def make(place: str = "", owner: str = "uid-1") -> Training:
        values = {
            "dataset": str(data),
            "model-name": name,
            "mlflow-tracking-uri": servers.mlflow,
            "input-shape": SHAPE,
            "epochs": str(EPOCHS),
            "batch-size": "50",
            "config": '{"workers": 1}',
            "checkpoint": place,
            "owner": owner,
        }
        return Training(tmp_path / owner, values)

    return make


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, name: str, servers: Servers, tmp_path: Path) -> str:
    """Where checkpoints lie."""
    return str(tmp_path / "kept") if request.param == "folder" else f"s3://{servers.bucket}/kept/{name}"


def _runs(client: MlflowClient, name: str) -> list[str]:
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return [run.info.run_id for run in client.search_runs([experiment.experiment_id])]


def _history(client: MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every value of every metric that the training decides, with its epoch."""
    names = set(client.get_run(run_id).data.metrics) - _OF_THE_MACHINE
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]
        for name in sorted(names)
    }


def _weights(client: MlflowClient, run_id: str) -> torch.Tensor:
    """The numbers in the last model that the run logged to its end."""
    model_id = logged_model(client, run_id)
    return weights(mlflow.pytorch.load_model(f"models:/{model_id}"))


@pytest.fixture(scope="module")
def whole(servers: Servers, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """Run and accuracy of the same training, left alone."""
    values = {
        "dataset": str(data),
        "model-name": "left-alone",
        "mlflow-tracking-uri": servers.mlflow,
        "input-shape": SHAPE,
        "epochs": str(EPOCHS),
        "batch-size": "50",
        "config": '{"workers": 1}',
    }
    return Training(tmp_path_factory.mktemp("whole"), values).finish()


def _equals(client: MlflowClient, done: tuple[str, float], whole: tuple[str, float]) -> None:
    """The two runs tell the same story, bit for bit."""
    assert done[1] == whole[1]
    history = _history(client, done[0])
    assert [step for step, _ in history["val_loss"]] == list(range(1, EPOCHS + 1))
    assert history == _history(client, whole[0])
    assert torch.equal(_weights(client, done[0]), _weights(client, whole[0]))
    assert client.get_run(done[0]).info.status == "FINISHED"


def test_killed_at_random_moments(
    training: Make, place: str, name: str, client: MlflowClient, whole: tuple[str, float]
) -> None:
    mine = training(place)
    chances = moments(f"train {place.partition(':')[0]}")
    killed, trainings, longest = 0, 1, 1.0
    while killed < KILLS:
        attempt = mine.start()
        code = attempt.end(after=chances.uniform(0, longest))
        assert code in (0, -signal.SIGKILL), attempt.text
        if code:
            killed += 1
            longest *= 1.3
        else:  # it was over before: kill another one, sooner
            trainings += 1
            longest /= 2
            mine = training(f"{place}-{trainings}", owner=f"uid-{trainings}")
    _equals(client, mine.finish(), whole)
    assert len(_runs(client, name)) == trainings


@pytest.mark.parametrize(
    ("place", "number", "code"),
    [("folder", signal.SIGTERM, 143), ("s3", signal.SIGINT, 130)],
    indirect=["place"],
)
def test_told_to_go(
    number: signal.Signals,
    code: int,
    training: Make,
    place: str,
    name: str,
    client: MlflowClient,
    whole: tuple[str, float],
) -> None:
    mine = training(place)
    attempt = mine.start().until(f"epoch 2/{EPOCHS}")
    assert attempt.signal(number) == code
    assert attempt.message.startswith(f"train: interrupted by {number.name} in epoch ")
    assert attempt.message.endswith(f"{place}/uid-1 holds all of it, and the same command goes on from there")
    assert "Traceback" not in attempt.text
    (run_id,) = _runs(client, name)
    assert client.get_run(run_id).info.status == "KILLED"
    done = mine.finish()
    assert done[0] == run_id
    _equals(client, done, whole)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_killed_when_the_model_was_stored_and_before_that_was_noted(
    training: Make, place: str, name: str, client: MlflowClient, whole: tuple[str, float]
) -> None:
    mine = training(place)
    assert mine.start(dies_at_the_end=True).end() == -signal.SIGKILL
    _equals(client, mine.finish(), whole)
    assert len(_runs(client, name)) == 1


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_once_more_after_the_end_answers_the_same_at_once(
    training: Make, place: str, name: str, client: MlflowClient
) -> None:
    mine = training(place)
    done = mine.finish()
    again = mine.start()
    assert again.end() == 0
    assert "this training ended before" in again.text
    assert "epoch 1/" not in again.text
    assert mine.finish() == done
    assert _runs(client, name) == [done[0]]


def test_another_training_of_the_same_owner_is_refused(
    training: Make, tmp_path: Path, name: str, client: MlflowClient
) -> None:
    mine = training(str(tmp_path / "kept"))
    mine.start().until(f"epoch 3/{EPOCHS}").end(after=0)
    other = mine.start(learning_rate="0.5")
    assert other.end() == 2
    assert "belongs to another training (learning_rate 0.002, now 0.5): give this" in other.message
    assert len(_runs(client, name)) == 1


def test_a_run_that_was_deleted_is_one_line(
    training: Make, tmp_path: Path, name: str, client: MlflowClient
) -> None:
    mine = training(str(tmp_path / "kept"))
    mine.start().until(f"epoch 3/{EPOCHS}").end(after=0)
    (run_id,) = _runs(client, name)
    client.delete_run(run_id)
    again = mine.start()
    assert again.end() == 1
    assert f"could not go on in run {run_id}, which this training began" in again.message


def test_s3_that_goes_away_costs_checkpoints_and_not_the_training(
    training: Make, servers: Servers, name: str, client: MlflowClient, whole: tuple[str, float]
) -> None:
    proxy = FaultProxy(os.environ["AWS_ENDPOINT_URL_S3"])
    mine = training(f"s3://{servers.bucket}/kept/{name}")
    mine.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
    attempt = mine.start().until("epoch 2/")
    with proxy.fault(Fault(refuse=True)):
        assert attempt.end() == 0, attempt.text
    proxy.close()
    assert "could not be written, and training goes on" in attempt.text
    assert "the end of the training could not be noted" in attempt.text
    _equals(client, ((mine.folder / "run-id").read_text(), whole[1]), whole)
