"""config.pbtxt from signatures."""

from pathlib import Path

import pytest
from onnx import TensorProto as T

from argosy.components.deployment.model.onnx_model import read_signature
from argosy.components.deployment.model.triton_config import describe, fits, model_config
from argosy.errors import StepError
from tests.components.deployment.models import Shape, signature_only

Ports = dict[str, tuple[int, Shape]]


def config_of(tmp_path: Path, inputs: Ports, outputs: Ports) -> str:
    return model_config("net", read_signature(signature_only(inputs, outputs, tmp_path / "m.onnx")))


def without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


IMAGES: tuple[Ports, Ports] = ({"input": (T.FLOAT, ["n", 3, 8, 8])}, {"output": (T.FLOAT, ["n", 10])})


def test_the_whole_text(tmp_path: Path) -> None:
    assert without_comments(config_of(tmp_path, *IMAGES)) == [
        'name: "net"',
        "version_policy {",
        "  specific {",
        "  }",
        "}",
        "max_batch_size: 32",
        "input {",
        '  name: "input"',
        "  data_type: TYPE_FP32",
        "  dims: 3",
        "  dims: 8",
        "  dims: 8",
        "}",
        "output {",
        '  name: "output"',
        "  data_type: TYPE_FP32",
        "  dims: 10",
        "}",
        "instance_group {",
        "  count: 1",
        "}",
        "dynamic_batching {",
        "}",
        "parameters {",
        '  key: "intra_op_thread_count"',
        "  value {",
        '    string_value: "1"',
        "  }",
        "}",
        "model_warmup {",
        '  name: "zeros"',
        "  batch_size: 1",
        "  inputs {",
        '    key: "input"',
        "    value {",
        "      data_type: TYPE_FP32",
        "      dims: 3",
        "      dims: 8",
        "      dims: 8",
        "      zero_data: true",
        "    }",
        "  }",
        "}",
        'backend: "onnxruntime"',
    ]


@pytest.mark.parametrize(
    ("inputs", "outputs", "described"),
    [
        (*IMAGES, "input TYPE_FP32 [3, 8, 8] -> output TYPE_FP32 [10], batches up to 32"),
        (
            {"x": (T.FLOAT16, [1, 4])},
            {"y": (T.FLOAT16, [1, 2])},
            "x TYPE_FP16 [1, 4] -> y TYPE_FP16 [1, 2], no batches",
        ),
        (
            {"ids": (T.INT64, ["n", "length"]), "mask": (T.BOOL, ["n", "length"])},
            {"y": (T.DOUBLE, ["n", 2])},
            "ids TYPE_INT64 [-1], mask TYPE_BOOL [-1] -> y TYPE_FP64 [2], batches up to 32",
        ),
        # One output without a batch: Triton cannot batch the model at all.
        (
            {"x": (T.UINT8, ["n", 4])},
            {"y": (T.FLOAT, [4])},
            "x TYPE_UINT8 [-1, 4] -> y TYPE_FP32 [4], no batches",
        ),
        (
            {"x": (T.STRING, ["n", 1])},
            {"y": (T.INT32, ["n"])},
            "x TYPE_STRING [1] -> y TYPE_INT32 [1], batches up to 32",
        ),
    ],
)
def test_signatures(tmp_path: Path, inputs: Ports, outputs: Ports, described: str) -> None:
    assert describe(config_of(tmp_path, inputs, outputs)) == described


def test_an_output_of_one_number_for_each_of_the_batch_is_reshaped(tmp_path: Path) -> None:
    text = config_of(tmp_path, {"x": (T.FLOAT, ["n", 4])}, {"class": (T.INT64, ["n"])})
    assert "dims: 1\n  reshape {\n  }" in text


@pytest.mark.parametrize(
    ("dtype", "shape", "warm"),
    [
        (T.FLOAT, ["n", 3, 8, 8], "batch_size: 1"),
        (T.INT64, [1, 4], "dims: 4"),
        (T.FLOAT, ["n", 3, "height", 8], ""),
        (T.STRING, ["n", 1], ""),
    ],
)
def test_a_version_is_warm_before_it_is_ready(tmp_path: Path, dtype: int, shape: Shape, warm: str) -> None:
    text = config_of(
        tmp_path, {"x": (dtype, shape)}, {"y": (T.FLOAT, ["n", 2] if shape[0] == "n" else [1, 2])}
    )
    assert ("model_warmup" in text) == bool(warm)
    assert warm in text


def test_a_type_that_triton_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="'x' is COMPLEX64, which Triton does not serve; it serves FLOAT"):
        config_of(tmp_path, {"x": (T.COMPLEX64, ["n", 4])}, {"y": (T.FLOAT, ["n"])})


def test_a_tuned_config_still_fits(tmp_path: Path) -> None:
    text = config_of(tmp_path, *IMAGES)
    tuned = text.replace("max_batch_size: 32", "max_batch_size: 8").replace("count: 1", "count: 4")
    assert tuned != text
    assert fits(tuned, text)
    assert fits('backend: "onnxruntime"', text)  # all the rest is Triton's to complete


@pytest.mark.parametrize(
    ("old", "new"), [("dims: 10", "dims: 11"), ('"input"', '"image"'), ("FP32", "FP16"), (": 32", ": 0")]
)
def test_another_signature_does_not_fit(tmp_path: Path, old: str, new: str) -> None:
    text = config_of(tmp_path, *IMAGES)
    assert not fits(text.replace(old, new), text)


def test_a_text_that_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"config\.pbtxt cannot be read"):
        fits("backend onnxruntime", config_of(tmp_path, *IMAGES))
