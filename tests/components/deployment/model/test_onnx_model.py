"""Reading and checking ONNX files."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from argosy.components.deployment.model.onnx_model import (
    TensorSpec,
    check_model,
    load_graph,
    read_signature,
)
from argosy.errors import StepError
from tests.components.deployment import models


def test_the_signature_is_the_graphs_own(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.conv_net())
    signature = read_signature(path)
    assert signature.inputs == (TensorSpec("input", TensorProto.FLOAT, ("batch_size", 3, 8, 8)),)
    assert signature.outputs == (TensorSpec("output", TensorProto.FLOAT, ("batch_size", 10)),)
    assert signature.batched
    assert signature.inputs[0].to_dict() == {"name": "input", "shape": ["batch_size", 3, 8, 8]}


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    model = onnx.load_from_string(models.conv_net())
    model.graph.input.append(helper.make_tensor_value_info("linear", TensorProto.FLOAT, [4, 10]))
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    assert [tensor.name for tensor in read_signature(path).inputs] == ["input"]


@pytest.mark.parametrize(
    ("shape", "batched", "dims"),
    [(("n", 3), True, [-1, 3]), ((-1, "width"), True, [-1, -1]), ((1, 3), False, [1, 3]), ((), False, [])],
)
def test_a_named_or_unknown_first_size_is_a_batch(
    shape: tuple[int | str, ...], batched: bool, dims: list[int]
) -> None:
    spec = TensorSpec("x", TensorProto.FLOAT, shape)
    assert (spec.batched, spec.dims) == (batched, dims)


def test_a_good_model_passes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.conv_net())
    check_model(path)


def _unknown_operator() -> bytes:
    model = onnx.load_from_string(models.conv_net())
    model.graph.node[0].op_type = "Convolute"
    return bytes(model.SerializeToString())


def _unopenable() -> bytes:
    # Valid by ONNX's rules, but of a domain that ONNX Runtime has no operators of.
    model = onnx.load_from_string(models.conv_net())
    model.graph.node[0].domain = "org.nowhere"
    model.opset_import.append(helper.make_opsetid("org.nowhere", 1))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a valid ONNX model"),
        (b"<html>502 Bad Gateway</html>", "not an ONNX model"),
        (models.conv_net()[:-40], "not an? (valid )?ONNX model"),
        (_unknown_operator(), "not a valid ONNX model: No Op registered for Convolute"),
        (_unopenable(), "ONNX Runtime does not open model.onnx"),
    ],
    ids=["empty", "a web page", "truncated", "unknown operator", "unopenable"],
)
def test_a_damaged_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(StepError, match=message):
        load_graph(path)
        check_model(path)


def test_an_input_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [1]))
    graph = helper.make_graph([], "g", [helper.make_value_info("many", kind)], [])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(StepError, match="'many' is a sequence_type"):
        read_signature(path)
