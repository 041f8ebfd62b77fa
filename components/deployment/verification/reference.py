"""Answers of a model in ONNX Runtime, in this process: its server has to give the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from argosy.errors import StepError


class Reference:
    """A model file in ONNX Runtime, with one thread.

    Raises:
        StepError: ONNX Runtime does not open it.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors share no base class but Exception
            raise StepError(f"ONNX Runtime does not open {path.name}: {_first_line(error)}") from error
        self._ranks = {tensor.name: len(tensor.shape) for tensor in self._session.get_inputs()}
        self.outputs = [tensor.name for tensor in self._session.get_outputs()]

    def answer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for these inputs, by name.

        Raises:
            StepError: the inputs have other names than the model's, or ONNX Runtime fails on them.
        """
        if set(inputs) != set(self._ranks):
            raise StepError(
                f"the served model takes {', '.join(inputs)}, the published file {', '.join(self._ranks)}: "
                "config.pbtxt does not fit the file"
            )
        fed = {name: _of_rank(array, self._ranks[name]) for name, array in inputs.items()}
        try:
            answers: Sequence[np.ndarray] = self._session.run(self.outputs, fed)
        except Exception as error:
            raise StepError(f"ONNX Runtime fails on the synthetic input: {_first_line(error)}") from error
        return dict(zip(self.outputs, answers, strict=True))


def _of_rank(array: np.ndarray, rank: int) -> np.ndarray:
    """The array without the dimension of 1 that Triton gives to a scalar."""
    return array.reshape(array.shape[:rank]) if array.ndim == rank + 1 and array.shape[-1] == 1 else array


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
