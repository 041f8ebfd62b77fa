"""Tracking on a real MLflow server: what a run holds, how it ends, and what a bad network does to it."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow.tracking import MlflowClient
from torch import nn

from argosy.components.shared import registry
from argosy.components.training.checkpoints.interruption import Interrupted
from argosy.components.training.data.images import ImageFolder, Skipped
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import MODEL, PATIENCE, tracked_run
from argosy.components.training.tracking.report import judge
from argosy.errors import StepError
from tests.components.training.conftest import Servers
from tests.faults.proxy import Fault, FaultProxy

SIZE = (16, 16)
METRICS = {
    "best_val_accuracy": 0.5,
    "val_accuracy": 0.5,
    "val_loss": 1.0,
    "train_loss": 1.1,
    "epoch_time": 2.0,
}


@pytest.fixture
def proxy(servers: Servers) -> Iterator[FaultProxy]:
    """In front of MLflow; the test's requests go through it."""
    proxy = FaultProxy(servers.mlflow)
    registry.connect(proxy.url)
    yield proxy
    proxy.close()
    registry.connect(servers.mlflow)


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    ).eval()


def test_a_run_holds_where_it_came_from(
    client: MlflowClient, name: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGOSY_GIT_COMMIT", "c0ffee")
    monkeypatch.setenv("ARGOSY_IMAGE", "registry/tools:1")
    monkeypatch.setenv("ARGO_NODE_ID", "train-x7k2p-3214095871")
    with tracked_run(name, recipe, owner="uid-7") as run:
        pass
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    expected = {
        "approach": "baseline",
        "architecture": "resnet18",
        "git_commit": "c0ffee",
        "image": "registry/tools:1",
        "workflow": "train-x7k2p",
        "workflow_uid": "uid-7",
        "model_name": name,
        "torch": torch.__version__,
    }
    assert expected.items() <= found.data.tags.items()
    assert found.data.tags["device"]


def test_a_run_tells_exactly_which_data(
    client: MlflowClient, name: str, recipe: Recipe, digits: ImageFolder, tmp_path: Path
) -> None:
    damaged = Skipped(digits.train.files[0], "it cannot be decoded")
    data = digits.without([damaged])
    with tracked_run(name, recipe) as run:
        run.data("s3://bucket/some/digits/", data, SIZE)
        run.data("s3://bucket/some/digits/", data, SIZE)  # as after a restart
    found = client.get_run(run.run_id)
    assert found.data.tags["dataset.fingerprint"] == digits.fingerprint()
    assert found.data.tags["dataset.source"] == "s3://bucket/some/digits/"
    assert found.data.params["dataset_fingerprint"] == digits.fingerprint()
    assert found.data.params["skipped_images"] == "1"
    (used,) = found.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.source_type) == ("digits", "s3")
    assert digits.fingerprint().startswith(used.dataset.digest)
    told = json.loads(Path(client.download_artifacts(run.run_id, "dataset.json", str(tmp_path))).read_text())
    assert told["classes"]["digit-0"] == {"train": 19, "val": 5}
    assert told["skipped_images"][0]["reason"] == "it cannot be decoded"
    assert told["skipped_images"][0]["file"].startswith("train/digit-0/")


def test_an_epoch_is_one_request_and_has_the_peak_of_the_memory(
    client: MlflowClient, name: str, recipe: Recipe, proxy: FaultProxy
) -> None:
    with tracked_run(name, recipe) as run:
        mlflow.log_metric("warm", 1.0)
        with proxy.fault(Fault(bytes_per_second=10_000_000)):  # resets what is open, then counts connections
            run.epoch(1, METRICS)
            assert proxy.met == 1
    found = client.get_run(run.run_id).data.metrics
    assert METRICS.items() <= found.items()
    assert 50 < found["peak_memory_mib"] < 100_000


def test_the_evaluation_is_kept_as_tables_and_pictures(
    client: MlflowClient, name: str, recipe: Recipe, digits: ImageFolder
) -> None:
    with tracked_run(name, recipe) as run:
        run.epoch(1, METRICS)
        run.report(*judge(_network(), recipe, digits, SIZE), digits)
    assert {
        entry.path.removeprefix("evaluation/") for entry in client.list_artifacts(run.run_id, "evaluation")
    } == {
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "curves.png",
        "misclassified.csv",
        "misclassified.png",
        "per_class.csv",
        "per_class.json",
    }


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (StepError("the loss became nan\nmore"), "FAILED", "the loss became nan"),
        (ValueError(), "FAILED", "ValueError"),
        (Interrupted(15), "KILLED", "interrupted by SIGTERM"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (SystemExit(143), "KILLED", "143"),
    ],
)
def test_a_run_ends_as_its_step_did_and_tells_why(
    client: MlflowClient, name: str, recipe: Recipe, error: BaseException, status: str, reason: str
) -> None:
    with pytest.raises(type(error)), tracked_run(name, recipe) as run:
        raise error
    found = client.get_run(run.run_id)
    assert found.info.status == status
    assert found.data.tags["failure"].startswith(reason)
    assert mlflow.active_run() is None


@pytest.mark.parametrize("left", ["KILLED", "FAILED", "RUNNING", "FINISHED"])
def test_a_run_is_gone_on_in_without_saying_anything_twice(
    client: MlflowClient, name: str, recipe: Recipe, digits: ImageFolder, left: str
) -> None:
    with tracked_run(name, recipe) as run:
        run.data("/data", digits, SIZE)
        run.epoch(1, METRICS)
    client.set_terminated(run.run_id, left)
    client.set_tag(run.run_id, "failure", "it was cut off")
    with tracked_run(name, recipe, run_id=run.run_id) as again:
        again.data("/data", digits, SIZE)
        again.epoch(1, METRICS)
        again.epoch(2, METRICS)
    assert again.run_id == run.run_id
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert "failure" not in found.data.tags
    assert [point.step for point in client.get_metric_history(run.run_id, "val_loss")] == [1, 2]
    assert len(found.inputs.dataset_inputs) == 1


def test_a_run_that_was_deleted_cannot_be_gone_on_in(client: MlflowClient, name: str, recipe: Recipe) -> None:
    with tracked_run(name, recipe) as run:
        pass
    client.delete_run(run.run_id)
    with pytest.raises(StepError, match=run.run_id) as caught, tracked_run(name, recipe, run_id=run.run_id):
        pass
    assert "\n" not in str(caught.value)


def test_a_server_that_is_away_for_a_while_is_waited_for(
    client: MlflowClient, name: str, recipe: Recipe, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with tracked_run(name, recipe) as run, caplog.at_level(logging.WARNING):
        with proxy.fault(Fault(refuse=True, times=6)):  # MLflow's client gives up after four
            run.epoch(1, METRICS)
        run.epoch(2, METRICS)
    assert "patience" in caplog.text or "tried again in" in caplog.text
    assert [point.step for point in client.get_metric_history(run.run_id, "val_loss")] == [1, 2]
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_a_server_that_stays_away_ends_the_step_in_one_line(
    name: str,
    recipe: Recipe,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(PATIENCE, "0.1")
    with (
        pytest.raises(StepError) as caught,
        tracked_run(name, recipe) as run,
        proxy.fault(Fault(refuse=True)),
    ):
        run.epoch(3, METRICS)
    assert f"could not record epoch 3 of run {run.run_id}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert mlflow.active_run() is None


def test_a_refused_request_is_not_repeated(
    name: str, recipe: Recipe, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(StepError, match="record epoch"), tracked_run(name, recipe) as run:
        run.epoch(1, {"no / such @ name": 1.0})
    assert "tried again in" not in caplog.text


@pytest.fixture
def stored(name: str, recipe: Recipe, client: MlflowClient) -> tuple[nn.Module, str]:
    """A network and the address of its copy in MLflow."""
    network = _network()
    with tracked_run(name, recipe) as run:
        run.model(network, SIZE)
    model_id = client.get_run(run.run_id).outputs.model_outputs[-1].model_id
    return network, f"models:/{model_id}"


def test_the_model_has_signature_and_example_and_takes_any_batch(stored: tuple[nn.Module, str]) -> None:
    network, uri = stored
    info = mlflow.models.get_model_info(uri)
    (tensor,) = info.signature.inputs.to_dict()
    assert tensor["tensor-spec"] == {"dtype": "float32", "shape": (-1, 3, *SIZE)}
    assert info.signature.outputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 10)
    assert info.saved_input_example_info is not None
    loaded = mlflow.pytorch.load_model(uri)
    for count in (1, 2, 5):
        images = torch.randn(count, 3, *SIZE)
        assert torch.allclose(loaded(images), network(images), atol=1e-6)


_STRANGER = """
import os, sys
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # MLflow then refuses any
import mlflow, torch
mlflow.set_tracking_uri(sys.argv[1])
class NoArgosy:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "argosy":
            raise ImportError(name)
sys.meta_path.insert(0, NoArgosy())
model = mlflow.pytorch.load_model(sys.argv[2])
print(model(torch.ones(3, 3, 16, 16))[0].tolist())
"""


def test_a_stranger_can_load_the_model_without_pickles_and_without_this_package(
    stored: tuple[nn.Module, str], servers: Servers
) -> None:
    network, uri = stored
    command = [sys.executable, "-c", _STRANGER, servers.mlflow, uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    logits = json.loads(done.stdout.strip().splitlines()[-1])
    assert torch.allclose(torch.tensor(logits), network(torch.ones(1, 3, *SIZE))[0], atol=1e-5)


def test_a_pickled_model_would_have_been_refused(
    name: str, recipe: Recipe, servers: Servers, client: MlflowClient
) -> None:
    """The stranger's way of loading can tell: it refuses what this package never stores."""
    with tracked_run(name, recipe):
        info = mlflow.pytorch.log_model(
            _network(), name=MODEL, pip_requirements=["torch"], serialization_format="pickle"
        )
    command = [sys.executable, "-c", _STRANGER, servers.mlflow, info.model_uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pickle is disallowed" in done.stderr
