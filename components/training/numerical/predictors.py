"""Models as functions from a batch of inputs to a batch of answers, on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import nn

from argosy.errors import StepError

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Predict = Callable[[Array], Array]

_FLOAT32 = "tensor(float)"


def pytorch_predictor(model: nn.Module) -> Predict:
    """`model` as a function from inputs to answers, without gradients."""

    def predict(batch: Array) -> Array:
        with torch.inference_mode():
            answer: Array = model(torch.from_numpy(batch)).numpy()
        return answer

    return predict


def onnx_predictor(session: ort.InferenceSession) -> Predict:
    """The session as a function from inputs to answers.

    It raises `StepError` where the model fails on a batch, as one does in which a batch size got fixed.
    """
    name = session.get_inputs()[0].name

    def predict(batch: Array) -> Array:
        try:
            answer: Array = session.run(None, {name: batch})[0]
        except Exception as error:  # ONNX Runtime's exception classes have no common base but this
            reason = str(error).strip().splitlines()[0]
            raise StepError(f"ONNX Runtime fails on a batch of {len(batch)}: {reason}") from error
        return answer

    return predict


def open_session(model: str | bytes, threads: int) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU with that many threads, from a file's path or its bytes.

    Its threads sleep between two calls: spinning, they would slow down what runs in turn with it.

    Raises:
        StepError: ONNX Runtime does not accept the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; its warnings concern graph details that nobody here can change
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes have no common base but this
        raise StepError(f"ONNX Runtime does not load the model: {str(error).splitlines()[0]}") from error


def sample_shape(session: ort.InferenceSession) -> tuple[int, ...]:
    """The shape of one sample, without the batch.

    Raises:
        StepError: the model has not exactly one float32 input with a free batch and nothing else free, or not
            exactly one output.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    batched = len(inputs) == 1 and len(inputs[0].shape) > 1 and not isinstance(inputs[0].shape[0], int)
    if not (batched and all(isinstance(side, int) for side in inputs[0].shape[1:])):
        raise StepError(f"the model should have one input with a free batch only; it has {_describe(inputs)}")
    if inputs[0].type != _FLOAT32 or len(outputs) != 1:
        raise StepError(
            "the model should turn one float32 tensor into one; "
            f"it turns {_describe(inputs)} into {_describe(outputs)}"
        )
    return tuple(inputs[0].shape[1:])


def _describe(tensors: list[ort.NodeArg]) -> str:
    return ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in tensors) or "none"
