"""Reading an ONNX file: is it whole, and what goes in and out of it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from argosy.errors import StepError

log = logging.getLogger(__name__)

MAX_PROTOBUF_BYTES = 2**31 - 1


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output.

    Attributes:
        name: as in the graph.
        dtype: a `TensorProto.DataType`.
        shape: sizes; a name such as "batch_size" where the caller chooses, -1 where that has no name.
    """

    name: str
    dtype: int
    shape: tuple[int | str, ...]

    @property
    def batched(self) -> bool:
        """Whether the caller chooses the first dimension."""
        return bool(self.shape) and not _fixed(self.shape[0])

    @property
    def dims(self) -> list[int]:
        """The shape with -1 wherever the caller chooses."""
        return [int(size) if _fixed(size) else -1 for size in self.shape]

    def to_dict(self) -> dict[str, object]:
        """As metadata.json shows it."""
        return {"name": self.name, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """Whether every input and output has a first dimension that the caller chooses: a batch."""
        return all(tensor.batched for tensor in (*self.inputs, *self.outputs))


def check_model(path: Path) -> None:
    """Check that a model is whole, its data files beside it included, and that ONNX Runtime opens it.

    Args:
        path: a file that `load_graph` has read.

    Raises:
        StepError: it breaks ONNX's rules, or ONNX Runtime refuses it.
    """
    try:
        # By path, because a model in memory is limited to 2 GiB.
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise StepError(f"{path.name} is not a valid ONNX model: {_first_line(error)}") from error
    _open(path)


def read_signature(path: Path) -> Signature:
    """The model's inputs and outputs, in the graph's order; weights are no inputs.

    Raises:
        StepError: it is no ONNX model, or an input or output is no tensor.
    """
    return signature_of(load_graph(path))


def signature_of(model: onnx.ModelProto) -> Signature:
    """The same of a model that is loaded.

    Raises:
        StepError: an input or output is no tensor.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(value) for value in graph.input if value.name not in weights)
    return Signature(inputs, tuple(_spec(value) for value in graph.output))


def training_run_of(model: onnx.ModelProto) -> str:
    """The run that trained the model, as export-onnx wrote it into the file; "" where nothing is written."""
    told = {entry.key: entry.value for entry in model.metadata_props}
    try:
        run_id = json.loads(told.get("run_id", '""'))
    except ValueError:
        return ""
    return run_id if isinstance(run_id, str) else ""


def load_graph(path: Path) -> onnx.ModelProto:
    """The model without what is in its data files.  It is read as protobuf: nothing in it is ever run.

    Raises:
        StepError: it is no ONNX model, or larger than a protobuf can be.
    """
    size = path.stat().st_size
    if size > MAX_PROTOBUF_BYTES:
        raise StepError(
            f"{path.name} has {size} bytes, and an ONNX file at most {MAX_PROTOBUF_BYTES}: "
            "keep its weights in a file beside it (save_as_external_data=True)"
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError) as error:
        raise StepError(f"{path.name} is not an ONNX model: {_first_line(error)}") from error
    if not model.HasField("graph"):
        raise StepError(f"{path.name} is not a valid ONNX model: it has no graph")
    return model


def _open(path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Whether it opens is the question, not how fast it would run.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise StepError(f"ONNX Runtime does not open {path.name}: {_first_line(error)}") from error


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "nothing"
        raise StepError(
            f"{value.name!r} is a {kind}: Triton serves models whose inputs and outputs are tensors"
        )
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise StepError(
            f"{value.name!r} has no shape: export the model with the shapes of its inputs and outputs"
        )
    return TensorSpec(value.name, tensor.elem_type, tuple(_size(dim) for dim in tensor.shape.dim))


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return dim.dim_param or -1


def _fixed(size: int | str) -> bool:
    return isinstance(size, int) and size >= 0


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
