"""The whole system on the real MLflow, S3 and Triton, from images to a served model and on.

The tests of this file tell one story and run in order: each starts from what the one before left behind.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from mlflow import MlflowClient
from tritonclient import http as triton

from tests.e2e.conftest import Argosy, Done

pytestmark = pytest.mark.story

MODEL = "resnet18-imagenette"
ONNX_MODEL = f"{MODEL}-onnx"
PIPELINE = "pipeline-image-classification"
TRAINING = ("train", "promote", "export-onnx", "validate-onnx")
DEPLOYMENT = (
    "fetch-model",
    "determine-version",
    "prepare-artifacts",
    "upload-to-s3",
    "reload-triton",
    "update-aliases",
    "verify-deployment",
)
GATE_3 = ("compare-live", "withdraw-version")
# A copy of the weights in S3 at each epoch is for a restart, which the first run alone prepares for.
ONCE = ("-p", "checkpoint=")
# Of a candidate that gets no further than Gate 1.
QUICKLY = (*ONCE, "-p", "epochs=1", "-p", "input-shape=1,3,16,16")


def run(argosy: Argosy, pipeline: str, *args: str) -> Done:
    done = argosy("run", pipeline, "--output", "json", *args)
    assert done.document is not None, done.stderr
    return done


def aliases(registry: MlflowClient, model: str) -> dict[str, str]:
    return {name: str(version) for name, version in registry.get_registered_model(model).aliases.items()}


def without_exit_handler(phases: dict[str, str]) -> dict[str, str]:
    """What `test_rollback.py` asks is left out."""
    return {name: phase for name, phase in phases.items() if not name.startswith("onExit")}


def published(bucket: Any, version: int) -> dict[str, bytes]:
    prefix = f"models/{ONNX_MODEL}/{version}/"
    return {o.key.removeprefix(prefix): o.get()["Body"].read() for o in bucket.objects.filter(Prefix=prefix)}


def answers_as_onnx_runtime(endpoints: dict[str, Any], model: bytes, version: int) -> None:
    """Triton and ONNX Runtime agree on the same file, for several batch sizes."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    client = triton.InferenceServerClient(endpoints["triton"]["http"].removeprefix("http://"))
    for batch in (1, 3):
        images = np.random.default_rng(batch).standard_normal((batch, 3, 32, 32)).astype(np.float32)
        tensor = triton.InferInput("input", images.shape, "FP32")
        tensor.set_data_from_numpy(images)
        served = client.infer(ONNX_MODEL, [tensor], model_version=str(version)).as_numpy("output")
        (expected,) = session.run(["output"], {"input": images})
        np.testing.assert_allclose(served, expected, atol=1e-5)


@pytest.fixture(scope="module")
def first(argosy: Argosy) -> Done:
    """The first run, on an empty stack."""
    return run(argosy, PIPELINE)


def test_first_run_passes_both_gates_and_deploys_version_1(
    first: Done, registry: MlflowClient, bucket: Any, endpoints: dict[str, Any]
) -> None:
    assert first.code == 0, first.stderr
    assert first.document["phase"] == "Succeeded"
    phases = without_exit_handler(first.phases())
    gate_3 = {name: phases.pop(name) for name in GATE_3}
    assert set(phases.values()) == {"Succeeded"}
    assert set(phases) >= {*TRAINING, *DEPLOYMENT}
    assert set(gate_3.values()) <= {"Skipped", "Omitted"}, "Gate 3 is off by default"
    assert float(first.outputs("promote")["val-accuracy"]) >= 0.90
    assert float(first.outputs("validate-onnx")["max-diff"]) <= 1e-5
    assert aliases(registry, MODEL) == {"champion": "1"}
    assert aliases(registry, ONNX_MODEL) == {"deploy": "1", "live": "1"}
    answers_as_onnx_runtime(endpoints, published(bucket, 1)["model.onnx"], 1)


def test_training_metrics_are_tracked_for_each_epoch(first: Done, registry: MlflowClient) -> None:
    run_id = first.outputs("train")["run-id"]
    for name in ("best_val_accuracy", "val_accuracy", "val_loss", "train_loss", "epoch_time"):
        assert len(registry.get_metric_history(run_id, name)) == 6, name


def test_metadata_tells_where_the_model_comes_from(first: Done, registry: MlflowClient, bucket: Any) -> None:
    metadata = json.loads(published(bucket, 1)["metadata.json"])
    version = registry.get_model_version(ONNX_MODEL, "1")
    expected = {
        "model_name": ONNX_MODEL,
        "version": "1",
        "run_id": version.run_id,
        "alias_at_deploy": "alias:deploy",
    }
    assert expected.items() <= metadata["mlflow"].items()
    assert metadata["mlflow"]["run_name"] == f"export-{MODEL}-v1"
    assert metadata["triton"]["version"] == "1"
    assert metadata["triton"]["deployed_at"].endswith("+00:00")
    pod = metadata["triton"]["deployed_by"]
    assert pod.startswith(f"{first.document['name']}-prepare-artifacts-")
    assert metadata["mlflow"]["training_run_id"] == first.outputs("train")["run-id"]
    assert metadata["model"]["format"] == "onnx"
    assert metadata["model"]["file_size_mb"] == pytest.approx(
        len(published(bucket, 1)["model.onnx"]) / 2**20, abs=0.01
    )
    assert metadata["model"]["inputs"] == [{"name": "input", "shape": ["batch_size", 3, 32, 32]}]
    assert metadata["model"]["outputs"] == [{"name": "output", "shape": ["batch_size", 10]}]
    assert metadata["validation"]["validation_max_diff"] == float(first.outputs("validate-onnx")["max-diff"])
    assert metadata["validation"]["validation_onnx_speedup"] > 0


@pytest.fixture(scope="module")
def second(argosy: Argosy, first: Done) -> Done:
    """The second run, of a worse candidate."""
    return run(argosy, PIPELINE, *QUICKLY, "-p", "min-accuracy=0.01")


def test_second_run_without_improvement_skips_deployment(
    first: Done, second: Done, registry: MlflowClient, bucket: Any
) -> None:
    assert (second.code, second.document["phase"]) == (0, "Succeeded")
    assert second.outputs("promote")["result"] == "failed"
    assert second.outputs("promote")["champion-accuracy"] == first.outputs("promote")["val-accuracy"]
    phases = second.phases()
    assert {phases[n] for n in (*TRAINING[2:], *DEPLOYMENT)} <= {"Skipped", "Omitted"}
    assert aliases(registry, MODEL) == {"champion": "1"}
    assert aliases(registry, ONNX_MODEL) == {"deploy": "1", "live": "1"}
    assert published(bucket, 2) == {}


@pytest.fixture(scope="module")
def forced(in_kind: Argosy, second: Done, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The third run, of any candidate: the manifest for the example's cluster without GPU.

    Servers are known by the addresses of the environment alone, and credentials by its Secret.
    """
    folder = tmp_path_factory.mktemp("compiled")
    compiled = in_kind("compile", PIPELINE, "--env", "kind", "--kind", "Workflow", "-o", str(folder))
    assert compiled.code == 0, compiled.stderr
    manifest = str(folder / f"{PIPELINE}.yaml")
    easily = ("-p", "epochs=3", "-p", "min-accuracy=0.5", "-p", "min-improvement=-1")
    return run(in_kind, manifest, "--env", "kind", *easily)


def test_the_manifest_for_a_cluster_without_gpu_runs_with_its_addresses_and_its_secret(
    forced: Done, bucket: Any
) -> None:
    assert (forced.code, forced.document["phase"]) == (0, "Succeeded"), forced.stderr
    phases = forced.phases()
    assert {phases[name] for name in (*TRAINING, *DEPLOYMENT)} == {"Succeeded"}
    assert phases["onExit.archive-versions"] == "Succeeded"
    state = Path(forced.document["runDir"]).parent.parent
    assert {path.name for path in state.iterdir()} == {"runs", "runs.order"}, "a stack was opened"
    assert any(True for _ in bucket.objects.filter(Prefix="checkpoints/kind/"))


def test_a_forced_candidate_deploys_version_2_and_moves_previous(
    forced: Done, registry: MlflowClient, bucket: Any, endpoints: dict[str, Any]
) -> None:
    candidate = forced.outputs("promote")["model-version"]
    assert aliases(registry, MODEL) == {"champion": candidate}
    assert aliases(registry, ONNX_MODEL) == {"deploy": "2", "live": "2", "previous": "1"}
    models = [published(bucket, version)["model.onnx"] for version in (1, 2)]
    assert models[0] != models[1]
    answers_as_onnx_runtime(endpoints, models[1], 2)


def test_a_failing_step_fails_the_workflow_and_omits_what_follows(
    argosy: Argosy, first: Done, registry: MlflowClient
) -> None:
    before = aliases(registry, ONNX_MODEL)
    failed = run(argosy, "deploy-model-image-classification", "-p", "source=version:99")
    assert (failed.code, failed.document["phase"]) == (1, "Failed")
    phases = without_exit_handler(failed.phases())
    assert phases.pop("fetch-model") == "Failed"
    assert set(phases.values()) <= {"Omitted"}
    for words in ("fetch-model", "exit code 1", "99"):
        assert words in failed.stderr
    assert aliases(registry, ONNX_MODEL) == before


def test_a_gate_that_crashes_fails_the_workflow(argosy: Argosy, second: Done) -> None:
    crashed = argosy(
        "rerun", second.document["name"], "--from=promote", "-p", "min-accuracy=2", "--output=json"
    )
    assert crashed.document is not None, crashed.stderr
    assert (crashed.code, crashed.document["phase"]) == (1, "Failed")
    assert crashed.phases()["promote"] == "Failed"
    assert {crashed.phases()[n] for n in TRAINING[2:]} == {"Omitted"}


@pytest.mark.parametrize(
    ("args", "fragment"),
    [
        (["-p", "epoch=3"], "did you mean 'epochs'"),
        (["-p", "epochs=many"], "parameter 'epochs': 'many' is not a whole number or empty"),
        (["-p", "epochs"], "-p 'epochs' is not of the form NAME=VALUE"),
        (["-p", "epochs=1", "-p", "epochs=2"], "-p epochs is given twice"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    argosy: Argosy, tmp_path: Path, args: list[str], fragment: str
) -> None:
    state = tmp_path / "state"
    done = argosy("run", PIPELINE, "--state-dir", str(state), *args)
    assert done.code == 2
    assert fragment in done.stderr
    assert done.stderr.count("\n") == 1
    assert not state.exists()
