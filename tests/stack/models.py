"""Small ONNX models, made on the spot, and their place in a model repository."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from argosy.stack import S3Endpoint
from argosy.stack.storage import client

FEATURES, CLASSES = 6, 3
OPSET = helper.make_opsetid("", 18)


def linear(seed: int = 0) -> bytes:
    """A linear layer, input [batch, 6] to output [batch, 3], with weights drawn from the seed."""
    random = np.random.default_rng(seed)
    weights = random.standard_normal((FEATURES, CLASSES)).astype(np.float32)
    bias = random.standard_normal(CLASSES).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["input", "weights", "bias"], ["output"])],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    return _bytes(graph)


def lookup() -> bytes:
    """Looks up rows of a table of 3 squares: 2 gives 4, and a row beyond the table is an error."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["squares", "row"], ["square"])],
        "lookup",
        [helper.make_tensor_value_info("row", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("square", TensorProto.INT64, ["batch", 1])],
        [numpy_helper.from_array(np.array([0, 1, 4], dtype=np.int64), "squares")],
    )
    return _bytes(graph)


def echo_text() -> bytes:
    """Returns the text that it gets, of shape [batch, 1]."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["text"], ["same"])],
        "echo",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["batch", 1])],
        [helper.make_tensor_value_info("same", TensorProto.STRING, ["batch", 1])],
    )
    return _bytes(graph)


def _bytes(graph: Any) -> bytes:
    model = helper.make_model(graph, opset_imports=[OPSET], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def config(name: str, rest: str = "") -> str:
    """The configuration of a model on the CPU; `rest` is added as it is."""
    return f'name: "{name}"\nbackend: "onnxruntime"\ninstance_group [{{ kind: KIND_CPU, count: 1 }}]\n{rest}'


LINEAR_CONFIG = f"""
max_batch_size: 8
dynamic_batching {{ max_queue_delay_microseconds: 20000 }}
input [{{ name: "input", data_type: TYPE_FP32, dims: [{FEATURES}] }}]
output [{{ name: "output", data_type: TYPE_FP32, dims: [{CLASSES}] }}]
parameters {{ key: "intra_op_thread_count", value: {{ string_value: "1" }} }}
"""


def publish(target: S3Endpoint, name: str, version: int, model: bytes, rest: str = LINEAR_CONFIG) -> None:
    """Put a model and its configuration into the repository, the configuration last."""
    s3 = client(target)
    s3.put_object(Bucket=target.bucket, Key=f"models/{name}/{version}/model.onnx", Body=model)
    s3.put_object(Bucket=target.bucket, Key=f"models/{name}/config.pbtxt", Body=config(name, rest).encode())


def withdraw(target: S3Endpoint, name: str) -> None:
    """Remove a model from the repository."""
    s3 = client(target)
    for item in s3.list_objects_v2(Bucket=target.bucket, Prefix=f"models/{name}/")["Contents"]:
        s3.delete_object(Bucket=target.bucket, Key=item["Key"])
