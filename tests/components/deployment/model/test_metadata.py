"""metadata.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from argosy.components.deployment.model.layout import (
    Metadata,
    MlflowOrigin,
    ModelFacts,
    TritonStamp,
    ValidationFacts,
)
from argosy.errors import StepError

WHOLE = Metadata(
    MlflowOrigin("net-onnx", "4", "85f6", "alias:deploy", "export-net-v10"),
    TritonStamp("3", "2026-02-19T17:33:50.793742+00:00", "deploy-x"),
    ModelFacts(
        "onnx",
        42.72,
        "ab" * 32,
        ({"name": "input", "shape": ["batch_size", 3]},),
        ({"name": "y", "shape": [1]},),
    ),
    ValidationFacts(1.43e-06, 2e-07, 1.49),
)


def test_the_fields_and_their_order(tmp_path: Path) -> None:
    WHOLE.write(tmp_path / "metadata.json")
    written = json.loads((tmp_path / "metadata.json").read_text())
    assert {block: list(fields) for block, fields in written.items()} == {
        "mlflow": ["model_name", "version", "run_id", "alias_at_deploy", "run_name"],
        "triton": ["version", "deployed_at", "deployed_by"],
        "model": ["format", "file_size_mb", "sha256", "inputs", "outputs"],
        "validation": [
            "validation_max_diff",
            "validation_mean_diff",
            "validation_onnx_speedup",
            "validation_median_diff",
            "validation_argmax_agreement",
        ],
    }
    assert written["model"]["inputs"] == [{"name": "input", "shape": ["batch_size", 3]}]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    WHOLE.write(path)
    read = Metadata.read(path)
    assert (read.mlflow, read.triton, read.validation) == (WHOLE.mlflow, WHOLE.triton, WHOLE.validation)
    assert read.model.sha256 == WHOLE.model.sha256


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "{", {"mlflow": None}, {"model": {"format": "onnx"}}, {"validation": {"surprise": 1}}],
)
def test_something_else_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "metadata.json"
    WHOLE.write(path)
    text = content if isinstance(content, str) else json.dumps(json.loads(path.read_text()) | content)
    path.write_text(text)
    with pytest.raises(StepError, match=r"metadata\.json is not the metadata of a deployment"):
        Metadata.read(path)
