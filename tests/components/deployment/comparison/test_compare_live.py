"""Gate 3 on the real servers: verdicts, faults that are no verdicts, and clients that notice nothing."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from PIL import Image

from argosy.components.deployment import prune_versions, rollback, withdraw_version
from argosy.components.deployment.comparison import candidate, comparing
from argosy.components.deployment.comparison.candidate import loaded_beside
from argosy.components.deployment.repository.pruning import clear_leftovers
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import StepError, UsageError
from tests.components.deployment import models
from tests.components.deployment.comparison.conftest import (
    IMAGES,
    PATIENT,
    Gate,
    of_any_width,
    request_of,
    scaled,
)
from tests.components.deployment.fleet import IMAGE, Fleet
from tests.faults.proxy import Fault, FaultProxy

NAN = scaled(float("nan"))
WORSE = models.conv_net(2)


def withdraw(fleet: Fleet, number: int, owner: str = "candidate") -> bool:
    return withdraw_version(triton_version=number, owner=owner, **fleet.where()).withdrawn


def when_loaded(gate: Gate, number: int, act: Callable[[], object]) -> threading.Thread:
    """Act as soon as the candidate serves."""

    def watch() -> None:
        name = f"{gate.fleet.name}.candidate-{number}"
        direct = Triton(gate.fleet.servers.triton)
        until = time.monotonic() + 60
        while not direct.version_ready(name, number) and time.monotonic() < until:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_an_equal_candidate_passes_and_clients_notice_nothing(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = gate.fleet
    # Of its index Triton makes a request to S3 for each model in the bucket.
    monkeypatch.setattr(Triton, "index", lambda *_: pytest.fail("nothing went wrong"))
    number = gate.candidate("candidate", models.conv_net(1))
    with gate.traffic():
        done = gate.compare(number)
    assert (done.result, gate.failed, gate.left()) == ("passed", [], [])
    assert (fleet.aliases(), fleet.ready(), fleet.named()) == (("1", ""), {1}, {1})
    found = fleet.record(number)["comparison"]
    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert (found["result"], found["live_triton_version"], found["workflow"]) == ("passed", 1, "candidate")
    assert (found["images"], found["recorded_requests"], found["concurrency"]) == (IMAGES, 0, 2)
    assert (rules["accuracy"]["live"], rules["accuracy"]["candidate"]) == (1.0, 1.0)
    assert (rules["agreement"]["value"], rules["difference"]["value"]) == (1.0, 0.0)
    assert rules["p95-latency"]["live"] > 0 and rules["memory"]["candidate"] > 0
    assert fleet.tags(number)["comparison.result"] == "passed"
    assert float(fleet.tags(number)["comparison.candidate_accuracy"]) == 1.0


def test_a_worse_candidate_fails_and_is_withdrawn(gate: Gate) -> None:
    fleet = gate.fleet
    number = gate.candidate("candidate", WORSE)
    with gate.traffic():
        done = gate.compare(number)
        assert done.result == "failed" and "accuracy" in done.reason and "agreement" in done.reason
        for _ in range(2):
            assert withdraw(fleet, number)
    assert (gate.failed, gate.left(), fleet.ready()) == ([], [], {1})
    assert list(fleet.bucket.keys(fleet.keys.version(number))) == []
    assert fleet.record(number)["comparison"]["reason"] == done.reason
    assert gate.candidate("another", models.conv_net(1)) == number + 1


def test_the_numbers_and_the_picture_lie_in_the_run_that_made_the_version(gate: Gate, tmp_path: Path) -> None:
    client = gate.fleet.client
    number = gate.candidate("candidate", models.conv_net(1))
    run_id = gate.run_id
    made = client.create_model_version(gate.fleet.name, "s3://nowhere/model", run_id, await_creation_for=0)
    client.set_model_version_tag(gate.fleet.name, made.version, "pytorch.run_id", run_id)
    gate.compare(number, model_version=str(made.version))
    metrics = client.get_run(run_id).data.metrics
    assert (metrics["comparison_agreement"], metrics["comparison_live_accuracy"]) == (1.0, 1.0)
    paths = [entry.path for entry in client.list_artifacts(run_id, "comparison")]
    assert paths == [f"comparison/comparison-{number}.png"]
    picture = mlflow.artifacts.download_artifacts(
        run_id=run_id, artifact_path=paths[0], dst_path=str(tmp_path)
    )
    assert Image.open(picture).size == (1200, 400)


def test_a_version_that_did_not_fail_is_not_withdrawn(gate: Gate) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    with pytest.raises(StepError, match="tells of no comparison"):
        withdraw(gate.fleet, number)
    gate.compare(number)
    with pytest.raises(StepError, match="tells of a comparison that passed"):
        withdraw(gate.fleet, number)


def test_a_failed_version_that_went_live_all_the_same_is_not_withdrawn(gate: Gate) -> None:
    number = gate.candidate("candidate", WORSE)
    gate.compare(number)
    gate.fleet.serve("candidate", number)
    gate.fleet.go_live("candidate", number)
    assert not withdraw(gate.fleet, number)
    assert gate.fleet.ready() == {1, number}


def test_other_limits_let_it_through(gate: Gate) -> None:
    number = gate.candidate("candidate", WORSE)
    limits = {**PATIENT, "max_accuracy_drop": 1, "min_agreement": 0}
    assert gate.compare(number, limits=limits).result == "passed"


def test_one_training_must_answer_the_same_and_two_need_not(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = gate.candidate("candidate", scaled(1.01))
    done = gate.compare(number)
    rules = {rule["rule"]: rule for rule in gate.fleet.record(number)["comparison"]["rules"]}
    assert (done.result, rules["difference"]["note"]) == ("passed", "they come from two trainings")
    monkeypatch.setattr(comparing._Files, "same_network", lambda *_: True)
    done = gate.compare(number)
    assert done.result == "failed" and done.reason.startswith("difference ")


def test_where_nothing_is_live_the_first_version_passes(fleet: Fleet) -> None:
    gate = Gate(fleet)
    number = gate.candidate("first", models.conv_net(1))
    done = gate.compare(number, owner="first")
    assert (done.result, done.reason) == ("passed", "nothing to compare with: nothing is live yet")
    assert fleet.record(number)["comparison"]["live_triton_version"] == ""


def test_a_version_that_is_live_already_passes(gate: Gate) -> None:
    done = gate.compare(1, owner="first")
    assert (done.result, done.reason) == ("passed", "nothing to compare with: it is live already")


def test_a_live_version_that_triton_lost_is_loaded_again(gate: Gate) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    gate.fleet.triton.unload(gate.fleet.name, 30)
    assert gate.compare(number).result == "passed"
    assert gate.fleet.ready() == {1}


def test_a_live_version_that_is_gone_is_no_verdict(gate: Gate) -> None:
    fleet = gate.fleet
    number = gate.candidate("candidate", models.conv_net(1))
    fleet.triton.unload(fleet.name, 30)
    fleet.bucket.delete(fleet.keys.version(1) + "model.onnx")
    with pytest.raises(StepError, match=r"version 1 of .* is not in bucket"):
        gate.compare(number)
    assert "comparison" not in fleet.record(number)


def test_numbers_that_are_not_finite_fail(gate: Gate) -> None:
    done = gate.compare(gate.candidate("candidate", NAN))
    assert done.result == "failed"
    assert done.reason.startswith("error-rate 1 is beyond 0 (output 'output' has numbers that are not finite")


def test_answers_of_another_shape_fail(fleet: Fleet) -> None:
    fleet.deploy("first", of_any_width(10))
    gate = Gate(fleet)
    done = gate.compare(gate.candidate("candidate", of_any_width(12)))
    assert done.result == "failed"
    assert "output 'output' is float32 [1, 12], live answers float32 [1, 10]" in done.reason


def test_a_candidate_that_triton_refuses_is_no_verdict(gate: Gate) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    key = gate.fleet.keys.version(number) + "model.onnx"
    gate.fleet.bucket.client.put_object(Bucket=gate.fleet.bucket.name, Key=key, Body=b"no model")
    with gate.traffic(), pytest.raises(StepError):
        gate.compare(number)
    assert (gate.failed, gate.left()) == ([], [])
    assert "comparison" not in gate.fleet.record(number)


def test_a_triton_that_dies_in_the_middle_is_no_verdict(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate, "_QUIET_SECONDS", 1.0)
    number = gate.candidate("candidate", models.conv_net(1))
    proxy = FaultProxy(gate.fleet.servers.triton)
    thread = when_loaded(gate, number, lambda: proxy._set(Fault(refuse=True)))
    with pytest.raises(StepError, match=r"does not answer|broke off"):
        gate.compare(number, triton_url=proxy.url, images=IMAGES, load_timeout=5)
    thread.join()
    proxy.close()
    assert "comparison" not in gate.fleet.record(number)
    assert gate.compare(number).result == "passed"
    assert gate.left() == []


@pytest.mark.parametrize("lost", ["candidate", "live"])
def test_a_version_that_vanishes_in_the_middle_is_no_verdict(
    gate: Gate, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    name = f"{gate.fleet.name}.candidate-{number}" if lost == "candidate" else gate.fleet.name
    send = comparing.send_both
    described = gate.fleet.triton.describe(gate.fleet.name, 1)

    def after_the_loss(triton: Triton, *given: Any) -> Any:
        triton.unload(name, 30)
        monkeypatch.setattr(Triton, "describe", lambda *_: described)
        return send(triton, *given)

    monkeypatch.setattr(comparing, "send_both", after_the_loss)
    with pytest.raises(StepError, match="does not serve both versions any more"):
        gate.compare(number)
    assert "comparison" not in gate.fleet.record(number)


def test_another_version_that_goes_live_meanwhile_is_no_verdict(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    send = comparing.send_both

    def overtaken(*given: Any) -> Any:
        gate.fleet.deploy("other")
        return send(*given)

    monkeypatch.setattr(comparing, "send_both", overtaken)
    with pytest.raises(StepError, match=r"version 1 of .* was live when the comparison began"):
        gate.compare(number)
    assert gate.left() == []


@pytest.fixture
def killed(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> int:
    """A candidate whose comparison was killed while it was loaded: nothing is cleared."""
    number = gate.candidate("candidate", models.conv_net(1))
    with monkeypatch.context() as patch:
        patch.setattr(candidate, "_clear_quietly", lambda *_: None)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(comparing, "send_both", die)
        with pytest.raises(KeyboardInterrupt):
            gate.compare(number)
    assert len(gate.left()) == 2
    return number


def test_a_killed_comparison_is_finished_by_its_next_run(gate: Gate, killed: int) -> None:
    assert gate.compare(killed).result == "passed"
    assert gate.left() == []


def test_a_rollback_clears_what_a_killed_comparison_left(gate: Gate, killed: int) -> None:
    where = {**gate.fleet.where(), "load_timeout": 60}
    assert rollback(owner="candidate", **where).result == "rolled-back"
    assert (gate.left(), gate.fleet.ready(), gate.fleet.aliases()) == ([], {1}, ("1", ""))


def test_old_copies_are_removed_by_pruning(gate: Gate, killed: int) -> None:
    fleet = gate.fleet
    prune_versions(
        model_name=fleet.name, mlflow_tracking_uri=fleet.servers.mlflow, s3_bucket=fleet.bucket.name
    )
    assert any(left.endswith("model.onnx") for left in gate.left())
    clear_leftovers(fleet.bucket, fleet.keys, dry_run=False, min_age=0)
    assert gate.left() == []
    fleet.triton.unload(f"{fleet.name}.candidate-{killed}", 30)


def test_two_comparisons_of_a_model_do_not_measure_each_other(gate: Gate) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    with (
        loaded_beside(gate.fleet.place, number, "one", Deadline.after(30)),
        pytest.raises(StepError, match="comparison"),
        loaded_beside(gate.fleet.place, number, "two", Deadline.after(1)),
    ):
        pass


def test_recorded_requests_are_sent_beside_the_images(gate: Gate) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    batch = np.concatenate([IMAGE, -IMAGE])
    prefix = gate.record(f"requests/{gate.fleet.name}", request_of(IMAGE), request_of(batch))
    gate.fleet.bucket.write_if_absent(f"requests/{gate.fleet.name}/notes.txt", b"hello")
    assert gate.compare(number, recorded_requests=prefix).result == "passed"
    found = gate.fleet.record(number)["comparison"]
    assert (found["images"], found["recorded_requests"], found["left_out"]) == (IMAGES, 2, 1)


def test_requests_that_both_refuse_count_against_neither(gate: Gate) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    wrong = request_of(np.zeros((1, 3, 4, 4), np.float32))
    prefix = gate.record(f"requests/{gate.fleet.name}", request_of(IMAGE), wrong)
    assert gate.compare(number, recorded_requests=prefix, images=0).result == "passed"
    (errors, *_) = gate.fleet.record(number)["comparison"]["rules"]
    assert (errors["live"], errors["candidate"], errors["value"]) == (0.5, 0.5, 0.0)


def test_recorded_requests_that_no_version_takes_are_no_reason_to_stop(gate: Gate) -> None:
    """They come first, and what memory is measured with has to be one that both take."""
    fleet = gate.fleet
    number = gate.candidate("candidate", models.conv_net(1))
    good = request_of(IMAGE)
    (tensor,) = good["inputs"]
    prefix = gate.record(
        f"requests/{fleet.name}",
        {"inputs": [{**tensor, "name": "nope"}]},
        {"inputs": []},
        {"inputs": [{**tensor, "datatype": "FP64"}]},
        {"inputs": [{**tensor, "shape": [1, 1], "data": [1]}]},
        good,
    )
    assert gate.compare(number, images=0, recorded_requests=prefix).result == "passed"
    rules = {rule["rule"]: rule for rule in fleet.record(number)["comparison"]["rules"]}
    assert (rules["error-rate"]["live"], rules["error-rate"]["candidate"]) == (0.8, 0.8)
    assert rules["memory"]["candidate"] > 0


def _tensor(datatype: str, size: int, data: str) -> str:
    return (
        f'{{"inputs": [{{"name": "input", "shape": [{size}], "datatype": "{datatype}", "data": [{data}]}}]}}'
    )


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("{", r"0\.json in bucket .* is not the JSON of an inference request"),
        ("[]", "is not the JSON of an inference request"),
        (_tensor("FP32", 2, "1"), "cannot reshape"),
        (_tensor("BYTES", 1, '"x"'), "only numbers can be sent"),
        (_tensor("FP32", 1, '"x"'), "is not the JSON of an inference request"),
    ],
)
def test_a_recorded_request_that_cannot_be_read_is_named(gate: Gate, body: str, complaint: str) -> None:
    number = gate.candidate("candidate", models.conv_net(1))
    prefix = gate.record(f"requests/{gate.fleet.name}", body)
    with pytest.raises(StepError, match=complaint):
        gate.compare(number, recorded_requests=prefix)


def test_without_images_and_requests_there_is_no_verdict(gate: Gate) -> None:
    number = gate.fleet.publish("candidate", models.conv_net(1))
    with pytest.raises(StepError, match="left no validation images; give recorded_requests"):
        gate.compare(number)
    with pytest.raises(StepError, match=r"no \.json lies below s3://"):
        gate.compare(number, recorded_requests=f"s3://{gate.fleet.bucket.name}/nothing/here")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"recorded_requests": "/tmp/x"}, "is not s3://BUCKET/PREFIX"),
        ({"recorded_requests": "s3://bucket"}, "is not s3://BUCKET/PREFIX"),
        ({"limits": {"speed": 1}}, "'speed' is no limit"),
        ({"concurrency": 0}, "concurrency 0 is not a number from 1 to 64"),
        ({"images": -1}, "images -1 is not a number from 0"),
        ({"load_timeout": 0}, "load_timeout 0 is not a number from 1"),
        ({"model_version": "deploy"}, "is not the number of a version in MLflow"),
    ],
)
def test_values_that_make_no_sense_are_refused(fleet: Fleet, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Gate(fleet).compare(1, **given)
