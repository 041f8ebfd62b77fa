"""A second model family, from its own train step to a Triton that answers, on the real servers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from tritonclient import http as triton

from argosy.stack import Stack
from tests.conftest import quick_loads
from tests.examples.test_examples import ARGOSY, EXAMPLES, phases

PROGRAM = EXAMPLES / "tabular" / "pipeline.py"
MODEL = "mlp-breast-cancer"


@pytest.fixture
def state(shared_stack: Stack) -> Iterator[Path]:
    """The folder of the stack that is up already."""
    with quick_loads():
        yield shared_stack.state_dir


def argosy(state: Path, *args: str) -> Any:
    """What a command of `argosy` answers, as JSON; it has to succeed."""
    environment = {**os.environ, "ARGOSY_STATE_DIR": str(state)}
    done = subprocess.run([ARGOSY, *args], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else None


def test_rows_of_numbers_go_through_the_same_gates_and_are_served(state: Path) -> None:
    ran = argosy(state, "run", str(PROGRAM), "--output", "json")
    assert ran["phase"] == "Succeeded"
    found = phases(ran)
    assert {found[step] for step in ("train-tabular", "promote", "validate-onnx", "verify-deployment")} == {
        "Succeeded"
    }

    where = argosy(state, "status", "--output", "json")
    registry = MlflowClient(where["mlflow"], where["mlflow"])
    assert registry.get_model_version_by_alias(MODEL, "champion").version == "1"
    live = registry.get_model_version_by_alias(f"{MODEL}-onnx", "live")
    assert live.tags["pytorch.model_name"] == MODEL

    right = served_rows_right(where["triton"]["http"].removeprefix("http://"))
    assert right >= 0.95


def served_rows_right(address: str) -> float:
    """Send every validation row to Triton; the share that it classifies right."""
    sys.path.insert(0, str(PROGRAM.parent))
    try:
        from mlp import load_rows
    finally:
        sys.path.remove(str(PROGRAM.parent))
    rows = load_rows(seed=0)
    right = 0
    client = triton.InferenceServerClient(address)
    for inputs, labels in zip(rows.val_inputs.split(32), rows.val_labels.split(32), strict=True):
        tensor = triton.InferInput("input", list(inputs.shape), "FP32")
        tensor.set_data_from_numpy(inputs.numpy())
        logits = client.infer(f"{MODEL}-onnx", [tensor]).as_numpy("output")
        right += int(np.sum(logits.argmax(1) == labels.numpy()))
    return right / len(rows.val_labels)
