"""Small ONNX models, made on the spot."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES, SIZE = 10, 8

Shape = list[int | str]


def conv_net(
    seed: int = 0, *, batch: int | str = "batch_size", size: int = SIZE, classes: int = CLASSES
) -> bytes:
    """A convolution, a pooling and a linear layer: [batch, 3, size, size] to [batch, classes]."""
    random = np.random.default_rng(seed)
    weights = {
        "kernel": random.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "linear": random.standard_normal((4, classes)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "linear"], ["output"]),
    ]
    return _encode(nodes, [batch, 3, size, size], [batch, classes], weights)


def not_a_number() -> bytes:
    """A model that answers with the logarithm of negative numbers."""
    nodes = [
        helper.make_node("Abs", ["input"], ["positive"]),
        helper.make_node("Neg", ["positive"], ["negative"]),
        helper.make_node("Log", ["negative"], ["output"]),
    ]
    return _encode(nodes, ["batch_size", 4], ["batch_size", 4], {})


def signature_only(
    inputs: dict[str, tuple[int, Shape]], outputs: dict[str, tuple[int, Shape]], path: Path
) -> Path:
    """A file with these inputs and outputs (name -> type, shape) and no work in between."""
    source, target = (
        [helper.make_tensor_value_info(name, dtype, shape) for name, (dtype, shape) in tensors.items()]
        for tensors in (inputs, outputs)
    )
    graph = helper.make_graph([], "signature", source, target)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def with_external_data(folder: Path) -> Path:
    """A model that keeps its weights in a file beside it."""
    path = folder / "model.onnx"
    model = onnx.load_from_string(conv_net(size=16))
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights", size_threshold=0)
    return path


def _encode(
    nodes: list[onnx.NodeProto], source: Shape, target: Shape, weights: dict[str, np.ndarray]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, source)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, target)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
