"""The ONNX file of a weighted sum, and the metadata that Argosy's deployment wants beside a model."""

from typing import Any

from onnx import TensorProto, checker, helper

from argosy.errors import UsageError


def linear_onnx(weights: list[float], bias: float) -> bytes:
    """The model: [batch, len(weights)] to [batch, 1].

    Raises:
        UsageError: there are no weights.
    """
    if not weights:
        raise UsageError("weights: a linear model needs one at least")
    features = len(weights)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["input", "weights", "bias"], ["output"])],
        "linear",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch_size", features])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", 1])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [features, 1], weights),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def metadata_of(name: str, sha256: str, data: bytes, features: int) -> dict[str, Any]:
    """The metadata: no MLflow run stands behind this model, no validation was made."""
    origin = {"model_name": name, "version": sha256[:12], "run_id": "", "alias_at_deploy": "", "run_name": ""}
    facts = {
        "format": "onnx",
        "file_size_mb": round(len(data) / 2**20, 3),
        "sha256": sha256,
        "inputs": [{"name": "input", "shape": ["batch_size", features]}],
        "outputs": [{"name": "output", "shape": ["batch_size", 1]}],
    }
    measured = dict.fromkeys(("validation_max_diff", "validation_mean_diff", "validation_onnx_speedup"))
    return {"mlflow": origin, "triton": None, "model": facts, "validation": measured}
